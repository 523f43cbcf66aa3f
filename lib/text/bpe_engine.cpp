#include "text/bpe_engine.h"

#include <algorithm>

#include "text/tokenizer_json.h"

namespace attnlab::text {
namespace {

class BpeEngine : public TokenizerEngine {
 public:
  explicit BpeEngine(TokenizerParts given);

  std::vector<int64_t> encode(std::string_view text, bool add_special_tokens) const override;
  std::string decode(std::span<const int64_t> ids, bool skip_special_tokens) const override;
  int64_t vocab_size() const override { return static_cast<int64_t>(tokens_.size()); }
  std::optional<int64_t> token_id(std::string_view token) const override;
  int64_t longest_token_bytes() const override { return static_cast<int64_t>(longest_token_); }
  std::optional<int64_t> bos_id() const override { return parts_.bos_id; }
  std::optional<int64_t> eos_id() const override { return parts_.eos_id; }
  const std::vector<std::string>& notes() const override { return parts_.notes; }

 private:
  struct Token {
    std::string surface;
    bool exists = false;
    bool special = false;
  };

  void name_token(int32_t id, std::string_view surface, bool special);
  void add_tokens();
  void encode_part(std::string_view text, bool at_start, std::vector<int64_t>& ids) const;
  void encode_words(std::string_view text, bool at_start, std::vector<int64_t>& ids) const;

  TokenizerParts parts_;
  AddedTokenMatcher raw_matcher_;         // looks at the text as given
  AddedTokenMatcher normalized_matcher_;  // looks at the normalised text
  Vocabulary added_ids_;
  std::vector<Token> tokens_;  // by id
  size_t longest_token_ = 0;
};

BpeEngine::BpeEngine(TokenizerParts given) : parts_(std::move(given)) {
  for (const auto& [surface, id] : parts_.model.vocabulary()) name_token(id, surface, false);
  add_tokens();
}

void BpeEngine::name_token(int32_t id, std::string_view surface, bool special) {
  if (static_cast<size_t>(id) >= tokens_.size()) tokens_.resize(static_cast<size_t>(id) + 1);
  tokens_[static_cast<size_t>(id)] = {std::string(surface), true, special};
  longest_token_ = std::max(longest_token_, surface.size());
}

void BpeEngine::add_tokens() {
  for (const AddedToken& token : parts_.added_tokens) {
    // A token that is looked for in normalised text is also decoded from that form, as the reference does.
    const std::string spelling = token.normalized ? parts_.normalizer.apply(token.content) : token.content;
    name_token(token.id, spelling, token.special);
    added_ids_.emplace(token.content, token.id);
    if (!spelling.empty()) (token.normalized ? normalized_matcher_ : raw_matcher_).add(token, spelling);
  }
}

void BpeEngine::encode_part(std::string_view text, bool at_start, std::vector<int64_t>& ids) const {
  const std::string normalized = parts_.normalizer.apply(text);
  for (const TextPart& part : normalized_matcher_.split(normalized)) {
    if (part.id) {
      ids.push_back(*part.id);
    } else {
      encode_words(part.span.of(normalized), at_start && part.span.begin == 0, ids);
    }
  }
}

void BpeEngine::encode_words(std::string_view text, bool at_start, std::vector<int64_t>& ids) const {
  Pieces pieces{.text = std::string(text), .spans = {{0, text.size()}}, .at_start = at_start};
  parts_.pre_tokenizer.apply(pieces);
  for (const Span word : pieces.spans) parts_.model.encode(word.of(pieces.text), ids);
}

std::vector<int64_t> BpeEngine::encode(std::string_view text, bool add_special_tokens) const {
  const Template& around = parts_.around;
  std::vector<int64_t> ids;
  if (add_special_tokens) ids = around.before;
  for (const TextPart& part : raw_matcher_.split(text)) {
    if (part.id) {
      ids.push_back(*part.id);
    } else {
      encode_part(part.span.of(text), part.span.begin == 0, ids);
    }
  }
  if (add_special_tokens) ids.insert(ids.end(), around.after.begin(), around.after.end());
  return ids;
}

std::string BpeEngine::decode(std::span<const int64_t> ids, bool skip_special_tokens) const {
  std::vector<std::string> surfaces;
  surfaces.reserve(ids.size());
  for (const int64_t id : ids) {
    if (id < 0 || id >= vocab_size()) continue;
    const Token& token = tokens_[static_cast<size_t>(id)];
    if (token.exists && !(skip_special_tokens && token.special)) surfaces.push_back(token.surface);
  }
  if (parts_.decoder) return parts_.decoder->apply(std::move(surfaces));
  std::string text;
  for (size_t i = 0; i < surfaces.size(); ++i) text += (i ? " " : "") + surfaces[i];
  return text;
}

std::optional<int64_t> BpeEngine::token_id(std::string_view token) const {
  const auto added = added_ids_.find(token);
  if (added != added_ids_.end()) return added->second;
  return parts_.model.id(token);
}

}  // namespace

std::unique_ptr<TokenizerEngine> make_bpe_engine(TokenizerParts parts) {
  return std::make_unique<BpeEngine>(std::move(parts));
}

}  // namespace attnlab::text
