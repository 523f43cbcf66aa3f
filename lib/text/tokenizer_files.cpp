#include "text/tokenizer_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "core/foreign_content.h"
#include "core/hub_cache.h"
#include "core/json.h"
#include "text/bpe_engine.h"
#include "text/companions.h"
#include "text/rank_file.h"
#include "text/sentencepiece_engine.h"
#include "text/tokenizer_json.h"

namespace attnlab::text {
namespace {
namespace fs = std::filesystem;

// Sequences inside each other are told by the reader of each component, with their key.
constexpr JsonLimits kLimits{.depth = 1 << 16};

TokenizerParts read_json(std::string_view bytes, const std::string& file) {
  const nlohmann::json json = parse_json(bytes, file, kLimits);
  return read_tokenizer(JsonNode(json, file, ""));
}

// Of a tokenizer.json or a rank file.
void read_companions_of(const fs::path& file, bool names_are_guessed, TokenizerParts& parts) {
  if (companion_files(file).empty()) return;
  Companions companions = read_companions(file);
  const KnownTokens known{.file = file.filename().string(),
                          .model_id = [&](std::string_view content) { return parts.model.id(content); },
                          .model_size = parts.model.vocabulary().size(),
                          .names_are_guessed = names_are_guessed};
  add_companions(companions, known, parts.added_tokens);
  const auto bos = named_id(companions, "bos_token", parts.added_tokens);
  const auto eos = named_id(companions, "eos_token", parts.added_tokens);
  if (bos || !companions.has_bos) parts.bos_id = bos;
  if (eos || !companions.has_eos) parts.eos_id = eos;
  for (std::string& note : companions.notes) parts.notes.push_back(std::move(note));
}

// tokenizer.json, then tokenizer.model, then the only rank file.
fs::path file_in(const fs::path& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer.model"})
    if (fs::exists(folder / name)) return folder / name;
  std::vector<fs::path> rank_files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".tiktoken") rank_files.push_back(entry.path());
  if (rank_files.size() == 1) return rank_files.front();
  const bool parts = fs::exists(folder / "vocab.json") || fs::exists(folder / "merges.txt");
  throw InputError(BadInput{
      .file = folder.string(),
      .found = !rank_files.empty() ? "several *.tiktoken"
               : parts ? "no tokenizer.json, and vocab.json or merges.txt are not all of a tokenizer"
                       : "no tokenizer",
      .expected =
          "a tokenizer.json (transformers' save_pretrained writes it), tokenizer.model or one *.tiktoken"});
}

// A model file of sentencepiece's may hold ranks (Meta's releases of Llama 3 call theirs tokenizer.model).
bool is_json(const fs::path& file, std::string_view bytes) {
  if (file.extension() == ".json") return true;
  const size_t first = bytes.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && bytes[first] == '{' && file.extension() != ".model";
}

}  // namespace

std::unique_ptr<TokenizerEngine> parse_tokenizer_json(std::string_view bytes, const std::string& file) {
  return make_bpe_engine(read_json(bytes, file));
}

fs::path find_tokenizer_file(const fs::path& named) {
  const fs::path path = find_model_folder(named);
  std::error_code unreadable;  // read_file says why
  return fs::is_directory(path, unreadable) ? file_in(path) : path;
}

std::unique_ptr<TokenizerEngine> open_tokenizer(const fs::path& path) {
  const fs::path file = find_tokenizer_file(path);
  const std::string bytes = read_file(file);
  refuse_foreign_content(file, bytes);
  if (is_json(file, bytes)) {
    TokenizerParts parts = read_json(bytes, file.string());
    read_companions_of(file, /*names_are_guessed=*/false, parts);
    return make_bpe_engine(std::move(parts));
  }
  if (file.extension() == ".tiktoken" || looks_like_rank_file(bytes)) {
    TokenizerParts parts = read_rank_file(bytes, file.string());
    read_companions_of(file, /*names_are_guessed=*/true, parts);
    return make_bpe_engine(std::move(parts));
  }
  if (companion_files(file).empty()) return make_sentencepiece_engine(bytes, file.string(), std::nullopt);
  return make_sentencepiece_engine(bytes, file.string(), read_companions(file));
}

}  // namespace attnlab::text
