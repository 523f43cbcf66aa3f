#include "checkpoint/safetensors_layout.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <tuple>

#include "checkpoint/safetensors_header.h"
#include "core/errors.h"
#include "core/json.h"

namespace attnlab {
namespace {

size_t dtype_row(const std::string& name, torch::ScalarType type) {
  std::vector<std::string> known;
  for (size_t row = 0; row < dtype_rows().size(); ++row) {
    if (dtype_rows()[row].type == type) return row;
    known.emplace_back(torch::toString(dtype_rows()[row].type));
  }
  throw InputError({.key = printable(name),
                    .found = std::string("a tensor of ") + torch::toString(type),
                    .expected = fmt::format("one of {}", fmt::join(known, ", "))});
}

// JSON text in quotes. Throws InputError on bytes that are not UTF-8.
std::string quoted(const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    throw InputError({.key = printable(text), .found = "bytes that are not UTF-8", .expected = "UTF-8"});
  }
}

}  // namespace

TensorSlot slot_of(const std::string& name, const torch::Tensor& tensor) {
  ATTNLAB_CHECK(tensor.defined() && tensor.layout() == torch::kStrided && !tensor.is_meta());
  if (name == kMetadataKey)
    throw InputError(
        {.key = name, .found = "a tensor of that name", .expected = "a name that is not reserved"});
  (void)quoted(name);  // complains before anything is written
  return {.name = name,
          .dtype = dtype_row(name, tensor.scalar_type()),
          .shape = tensor.sizes().vec(),
          .bytes = tensor.nbytes()};
}

void sort_slots(std::vector<TensorSlot>& slots) {
  std::sort(slots.begin(), slots.end(), [](const TensorSlot& a, const TensorSlot& b) {
    return std::tie(a.dtype, a.name) < std::tie(b.dtype, b.name);
  });
}

std::string header_bytes(const std::vector<TensorSlot>& slots,
                         const std::map<std::string, std::string>& metadata) {
  std::vector<std::string> entries;
  if (!metadata.empty()) {
    std::vector<std::string> texts;
    for (const auto& [key, text] : metadata) texts.push_back(quoted(key) + ":" + quoted(text));
    entries.push_back(fmt::format("{}:{{{}}}", quoted(std::string(kMetadataKey)), fmt::join(texts, ",")));
  }
  uint64_t begin = 0;
  for (const auto& slot : slots) {
    const uint64_t end = begin + slot.bytes;
    entries.push_back(fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                                  quoted(slot.name), dtype_rows()[slot.dtype].name, fmt::join(slot.shape, ","),
                                  begin, end));
    begin = end;
  }
  std::string text = fmt::format("{{{}}}", fmt::join(entries, ","));
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > kLargestHeader)
    throw InputError({.found = fmt::format("names and shapes of {} bytes", text.size()),
                      .expected = fmt::format("at most {} (safetensors)", kLargestHeader)});
  const uint64_t length = text.size();
  std::string bytes(kLengthBytes, '\0');
  std::memcpy(bytes.data(), &length, kLengthBytes);
  return bytes + text;
}

torch::Tensor plain_values(const torch::Tensor& tensor) {
  return tensor.detach().to(torch::kCPU).resolve_neg().contiguous();
}

}  // namespace attnlab
