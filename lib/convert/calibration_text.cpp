#include "convert/calibration_text.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "checkpoint/safetensors.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/gzip.h"
#include "core/json.h"
#include "core/jsonl.h"

namespace attnlab {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const fs::path& file, std::string key, std::string found, std::string expected) {
  throw InputError(BadInput{.file = file.string(),
                            .key = std::move(key),
                            .found = std::move(found),
                            .expected = std::move(expected)});
}

torch::Tensor rows_of(const torch::Tensor& ids, int64_t length) {
  const int64_t rows = ids.numel() / length;
  return ids.narrow(0, 0, rows * length).view({rows, length});
}

// The texts of a .jsonl (or a JSON array), an empty line between them; another file as it is.
std::string text_of(const fs::path& path) {
  if (!has_text_extension(path, ".jsonl") && !has_text_extension(path, ".json")) {
    const std::string bytes = read_text_file(path);
    return std::string(without_byte_order_mark(bytes, path.string()));
  }
  std::string text;
  for_each_record(path, [&](const Record& record) { text += document_of(record) + "\n\n"; });
  return text;
}

// Ids of the beginning of the file, `wanted` at least unless it ends before.
torch::Tensor text_ids(const fs::path& path, const Tokenizer* tokenizer, int64_t wanted) {
  if (!tokenizer) refuse(path, "", "text", "a tokenizer beside the model, or a .safetensors with ids");
  const std::string text = text_of(path);
  // Few tokens are longer than 16 bytes on average; a text that is cut inside a character loses that one.
  for (int64_t bytes_each = 16;; bytes_each *= 4) {
    const auto most = static_cast<size_t>(wanted) * static_cast<size_t>(bytes_each);
    const auto ids = tokenizer->encode(std::string_view(text).substr(0, most), /*add_special_tokens=*/true);
    if (static_cast<int64_t>(ids.size()) >= wanted || most >= text.size()) return torch::tensor(ids);
  }
}

void check_ids(const fs::path& path, const torch::Tensor& ids, int64_t vocab_size) {
  if (ids.numel() == 0) return;
  const auto least = ids.min().item<int64_t>(), most = ids.max().item<int64_t>();
  if (least < 0 || most >= vocab_size)
    refuse(path, "", fmt::format("id {}", least < 0 ? least : most),
           fmt::format("the model's ids, 0 to {}", vocab_size - 1));
}

std::optional<torch::Tensor> stored_ids(const SafetensorsFile& file, const char* name) {
  if (!file.has(name)) return std::nullopt;
  const auto ids = file.tensor(name);
  if (ids.dim() != 2 || ids.numel() == 0 || !at::isIntegralType(ids.scalar_type(), false))
    refuse(file.path(), name, "another shape or type",
           "whole numbers of shape [rows, tokens], neither of them 0");
  return ids.to(torch::kInt64);
}

CalibrationRows read_ids(const fs::path& path) {
  const auto file = SafetensorsFile::open(path);
  CalibrationRows rows;
  for (const char* name : {"calibration_ids", "input_ids"})
    if (const auto ids = stored_ids(file, name); ids && !rows.calibration_NT.defined())
      rows.calibration_NT = *ids;
  if (const auto ids = stored_ids(file, "eval_ids")) rows.heldout_NT = *ids;
  if (!rows.calibration_NT.defined())
    refuse(path, "calibration_ids", "no such tensor", "calibration_ids or input_ids [rows, tokens]");
  return rows;
}

// What follows the calibration rows, or the end of them.
void split(CalibrationRows& rows, const CalibrationOptions& options) {
  const auto all = rows.calibration_NT;
  const int64_t length = all.size(1), count = all.size(0);
  if (count < 2) return;
  const int64_t measured = std::max<int64_t>(1, options.heldout_tokens / length);
  const int64_t calibrated = std::max<int64_t>(1, options.tokens / length);
  const int64_t kept = std::min(calibrated, std::max<int64_t>(1, count - std::min(measured, (count + 7) / 8)));
  rows.calibration_NT = all.narrow(0, 0, kept);
  rows.heldout_NT = all.narrow(0, kept, std::min(measured, count - kept));
}

CalibrationRows read_rows(const fs::path& path, const Tokenizer* tokenizer, const CalibrationOptions& options,
                          int64_t wanted) {
  if (path.extension() == ".safetensors") return read_ids(path);
  const auto ids = text_ids(path, tokenizer, wanted);
  if (ids.numel() < options.row_length)
    refuse(path, "", fmt::format("{} tokens", ids.numel()),
           fmt::format("at least one row of {}", options.row_length));
  return {.calibration_NT = rows_of(ids, options.row_length)};
}

}  // namespace

CalibrationRows read_calibration(const fs::path& path, const fs::path& heldout_path, const Tokenizer* tokenizer,
                                 int64_t vocab_size, const CalibrationOptions& options) {
  CalibrationRows rows = read_rows(path, tokenizer, options, options.tokens + options.heldout_tokens);
  rows.sha256 = sha256_file(path);
  const int64_t most = std::max<int64_t>(1, options.tokens / rows.calibration_NT.size(1));
  if (!heldout_path.empty()) {
    const auto heldout = read_rows(heldout_path, tokenizer, options, options.heldout_tokens).calibration_NT;
    rows.heldout_NT = heldout.slice(0, 0, std::max<int64_t>(1, options.heldout_tokens / heldout.size(1)));
    rows.sha256 += ", held-out " + sha256_file(heldout_path);
  } else if (!rows.heldout_NT.defined()) {
    split(rows, options);
  }
  rows.calibration_NT = rows.calibration_NT.slice(0, 0, most).contiguous();
  check_ids(path, rows.calibration_NT, vocab_size);
  if (rows.heldout_NT.defined())
    check_ids(heldout_path.empty() ? path : heldout_path, rows.heldout_NT, vocab_size);
  return rows;
}

torch::Tensor random_rows(int64_t vocab_size, int64_t rows, int64_t length, uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return torch::randint(vocab_size, {rows, length}, generator, torch::kInt64);
}

}  // namespace attnlab
