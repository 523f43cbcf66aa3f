#include "text/added_tokens.h"

#include <algorithm>

#include "core/errors.h"
#include "text/pre_tokenizer.h"
#include "text/regex.h"

namespace attnlab::text {
namespace {

// As Rust's regular expressions see it, which also take what joins characters.
const Pattern& word_character() {
  static const Pattern pattern = Pattern::regex(word_class());
  return pattern;
}

bool touches_word_before(std::string_view before) {
  if (before.empty()) return false;
  std::string last;
  append_utf8(last_code_point(before), last);
  return word_character().matches_anywhere(last);
}

bool touches_word_after(std::string_view after) {
  if (after.empty()) return false;
  return word_character().matches_anywhere(after.substr(0, char_length(static_cast<unsigned char>(after[0]))));
}

}  // namespace

void AddedTokenMatcher::add(AddedToken token, std::string_view spelling) {
  ATTNLAB_CHECK(!spelling.empty());
  starts_token_[static_cast<unsigned char>(spelling[0])] = true;
  uint32_t node = 0;
  for (const char c : spelling) {
    const auto [child, is_new] =
        children_.try_emplace(static_cast<uint64_t>(node) << 8 | static_cast<unsigned char>(c),
                              static_cast<uint32_t>(token_at_node_.size()));
    if (is_new) token_at_node_.push_back(-1);
    node = child->second;
  }
  token_at_node_[node] = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(std::move(token));
}

AddedTokenMatcher::Match AddedTokenMatcher::longest_match(std::string_view text) const {
  Match best;
  uint32_t node = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto child = children_.find(static_cast<uint64_t>(node) << 8 | static_cast<unsigned char>(text[i]));
    if (child == children_.end()) break;
    node = child->second;
    if (token_at_node_[node] >= 0) best = {&tokens_[static_cast<size_t>(token_at_node_[node])], i + 1};
  }
  return best;
}

std::vector<TextPart> AddedTokenMatcher::split(std::string_view text) const {
  std::vector<TextPart> parts;
  size_t taken = 0;  // text before this belongs to a part already
  for (size_t at = 0; at < text.size();) {
    const Match match =
        starts_token_[static_cast<unsigned char>(text[at])] ? longest_match(text.substr(at)) : Match{};
    if (!match.token) {
      ++at;
      continue;
    }
    Span span{at, at + match.length};
    at = span.end;
    if (match.token->single_word &&
        (touches_word_before(text.substr(0, span.begin)) || touches_word_after(text.substr(span.end))))
      continue;
    if (match.token->lstrip)
      span.begin -= white_space_at_end(text.substr(taken, span.begin - std::min(taken, span.begin)));
    if (match.token->rstrip) span.end += white_space_at_start(text.substr(span.end));
    if (taken < span.begin) parts.push_back({std::nullopt, {taken, span.begin}});
    parts.push_back({match.token->id, span});
    taken = span.end;
  }
  if (taken < text.size()) parts.push_back({std::nullopt, {taken, text.size()}});
  return parts;
}

}  // namespace attnlab::text
