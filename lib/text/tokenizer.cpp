#include "text/tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "text/byte_level.h"
#include "text/tokenizer_json.h"

namespace attnlab {
using namespace text;

struct Tokenizer::Impl {
  struct Token {
    std::string surface;
    bool exists = false;
    bool special = false;
  };

  TokenizerParts parts;
  AddedTokenMatcher raw_matcher;         // looks at the text as given
  AddedTokenMatcher normalized_matcher;  // looks at the normalised text
  Vocabulary added_ids;
  std::vector<Token> tokens;  // by id
  size_t longest_token = 0;

  explicit Impl(TokenizerParts given);
  void encode_part(std::string_view text, bool at_start, std::vector<int64_t>& ids) const;
  void encode_words(std::string_view text, bool at_start, std::vector<int64_t>& ids) const;

 private:
  void name_token(int32_t id, std::string_view surface, bool special);
  void add_tokens();
};

Tokenizer::Impl::Impl(TokenizerParts given) : parts(std::move(given)) {
  for (const auto& [surface, id] : parts.model.vocabulary()) name_token(id, surface, false);
  add_tokens();
}

void Tokenizer::Impl::name_token(int32_t id, std::string_view surface, bool special) {
  if (static_cast<size_t>(id) >= tokens.size()) tokens.resize(static_cast<size_t>(id) + 1);
  tokens[static_cast<size_t>(id)] = {std::string(surface), true, special};
  longest_token = std::max(longest_token, surface.size());
}

void Tokenizer::Impl::add_tokens() {
  for (const AddedToken& token : parts.added_tokens) {
    // A token that is looked for in normalised text is also decoded from that form, as the reference does.
    const std::string spelling = token.normalized ? parts.normalizer.apply(token.content) : token.content;
    name_token(token.id, spelling, token.special);
    added_ids.emplace(token.content, token.id);
    if (!spelling.empty()) (token.normalized ? normalized_matcher : raw_matcher).add(token, spelling);
  }
}

void Tokenizer::Impl::encode_part(std::string_view text, bool at_start, std::vector<int64_t>& ids) const {
  const std::string normalized = parts.normalizer.apply(text);
  for (const TextPart& part : normalized_matcher.split(normalized)) {
    if (part.id) {
      ids.push_back(*part.id);
    } else {
      encode_words(part.span.of(normalized), at_start && part.span.begin == 0, ids);
    }
  }
}

void Tokenizer::Impl::encode_words(std::string_view text, bool at_start, std::vector<int64_t>& ids) const {
  Pieces pieces{.text = std::string(text), .spans = {{0, text.size()}}, .at_start = at_start};
  parts.pre_tokenizer.apply(pieces);
  for (const Span word : pieces.spans) parts.model.encode(word.of(pieces.text), ids);
}

Tokenizer::Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

namespace {

nlohmann::json parse_json(const std::string& text, const std::string& file) {
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    const size_t end = std::min(text.size(), error.byte);
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end), '\n');
    throw InputError(
        BadInput{.file = file, .line = line, .found = "malformed JSON", .expected = "a tokenizer.json"});
  } catch (const nlohmann::json::exception&) {
    throw InputError(
        BadInput{.file = file, .found = "a number that no double holds", .expected = "a tokenizer.json"});
  }
}

}  // namespace

Tokenizer Tokenizer::load(const std::filesystem::path& path) {
  std::error_code unreadable;  // read_file says why
  const auto file = std::filesystem::is_directory(path, unreadable) ? path / "tokenizer.json" : path;
  const nlohmann::json json = parse_json(read_file(file), file.string());
  return Tokenizer(std::make_shared<const Impl>(read_tokenizer(JsonNode(json, file.string(), ""))));
}

std::vector<int64_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  const std::string repaired = is_valid_utf8(text) ? "" : utf8_lossy(text);
  if (!repaired.empty()) text = repaired;
  const Template& around = impl_->parts.around;
  std::vector<int64_t> ids;
  if (add_special_tokens) ids = around.before;
  for (const TextPart& part : impl_->raw_matcher.split(text)) {
    if (part.id) {
      ids.push_back(*part.id);
    } else {
      impl_->encode_part(part.span.of(text), part.span.begin == 0, ids);
    }
  }
  if (add_special_tokens) ids.insert(ids.end(), around.after.begin(), around.after.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const int64_t> ids, bool skip_special_tokens) const {
  std::vector<std::string> surfaces;
  surfaces.reserve(ids.size());
  for (const int64_t id : ids) {
    if (id < 0 || id >= vocab_size()) continue;
    const Impl::Token& token = impl_->tokens[static_cast<size_t>(id)];
    if (token.exists && !(skip_special_tokens && token.special)) surfaces.push_back(token.surface);
  }
  if (impl_->parts.decoder) return impl_->parts.decoder->apply(std::move(surfaces));
  std::string text;
  for (size_t i = 0; i < surfaces.size(); ++i) text += (i ? " " : "") + surfaces[i];
  return text;
}

int64_t Tokenizer::vocab_size() const { return static_cast<int64_t>(impl_->tokens.size()); }

std::optional<int64_t> Tokenizer::token_id(std::string_view token) const {
  const auto added = impl_->added_ids.find(token);
  if (added != impl_->added_ids.end()) return added->second;
  return impl_->parts.model.id(token);
}

int64_t Tokenizer::longest_token_bytes() const { return static_cast<int64_t>(impl_->longest_token); }

}  // namespace attnlab
