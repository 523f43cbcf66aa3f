#include "text/tokenizer_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "core/foreign_content.h"
#include "text/bpe_engine.h"
#include "text/rank_file.h"
#include "text/sentencepiece_engine.h"
#include "text/tokenizer_json.h"

namespace attnlab::text {
namespace {
namespace fs = std::filesystem;

nlohmann::json parse_json(std::string_view text, const std::string& file, const std::string& what) {
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    const size_t end = std::min(text.size(), error.byte);
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end), '\n');
    throw InputError(BadInput{.file = file, .line = line, .found = "malformed JSON", .expected = what});
  } catch (const nlohmann::json::exception&) {
    throw InputError(BadInput{.file = file, .found = "a number that no double holds", .expected = what});
  }
}

// The id of a token that tokenizer_config.json names: a string, or an object with its content.
std::optional<int64_t> configured_id(const JsonNode& config, std::string_view key,
                                     const TokenizerParts& parts) {
  const auto node = config.find(key);
  if (!node) return std::nullopt;
  const JsonNode name = node->value().is_object() ? node->at("content") : *node;
  for (const AddedToken& token : parts.added_tokens)
    if (token.content == name.string()) return token.id;
  if (const auto id = parts.model.id(name.string())) return *id;
  name.reject("a token of the tokenizer.json beside it");
}

void read_config_beside(const fs::path& file, TokenizerParts& parts) {
  const fs::path path = file.parent_path() / "tokenizer_config.json";
  std::error_code unreadable;
  if (!fs::exists(path, unreadable)) return;
  const auto json = parse_json(read_file(path), path.string(), "a tokenizer_config.json");
  const JsonNode config(json, path.string(), "");
  parts.bos_id = configured_id(config, "bos_token", parts);
  parts.eos_id = configured_id(config, "eos_token", parts);
}

TokenizerParts read_json(std::string_view bytes, const std::string& file) {
  const nlohmann::json json = parse_json(bytes, file, "a tokenizer.json");
  return read_tokenizer(JsonNode(json, file, ""));
}

// tokenizer.json, then tokenizer.model, then the only rank file.
fs::path file_in(const fs::path& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer.model"})
    if (fs::exists(folder / name)) return folder / name;
  std::vector<fs::path> rank_files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".tiktoken") rank_files.push_back(entry.path());
  if (rank_files.size() == 1) return rank_files.front();
  throw InputError(BadInput{.file = folder.string(),
                            .found = rank_files.empty() ? "no tokenizer" : "several *.tiktoken",
                            .expected = "a tokenizer.json, tokenizer.model or one *.tiktoken"});
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

fs::path find_tokenizer_file(const fs::path& path) {
  std::error_code unreadable;  // read_file says why
  return fs::is_directory(path, unreadable) ? file_in(path) : path;
}

std::unique_ptr<TokenizerEngine> open_tokenizer(const fs::path& path) {
  const fs::path file = find_tokenizer_file(path);
  const std::string bytes = read_file(file);
  refuse_foreign_content(file, bytes);
  if (is_json(file, bytes)) {
    TokenizerParts parts = read_json(bytes, file.string());
    read_config_beside(file, parts);
    return make_bpe_engine(std::move(parts));
  }
  if (file.extension() == ".tiktoken" || looks_like_rank_file(bytes))
    return make_bpe_engine(read_rank_file(bytes, file.string()));
  return make_sentencepiece_engine(bytes, file.string());
}

}  // namespace attnlab::text
