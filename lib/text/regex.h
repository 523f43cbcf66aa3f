// Patterns of tokenizer.json: a literal string or a regular expression (PCRE2, compiled to machine code).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/utf8.h"

namespace attnlab::text {

// Immutable and cheap to copy; all searches are thread-safe.
class Pattern {
 public:
  static Pattern literal(std::string text);
  // Throws std::invalid_argument with the reason if the expression is not valid or not supported.
  static Pattern regex(std::string_view expression);

  // All matches from left to right, none overlapping; `text` is valid UTF-8. Throws RunError if the expression
  // needs more work on this text than PCRE2's match limit admits.
  std::vector<Span> find_all(std::string_view text) const;
  // `content` is inserted as it stands. Throws RunError, before it allocates, if the result has over `most`
  // bytes.
  std::string replace_all(std::string_view text, std::string_view content,
                          size_t most = std::string_view::npos) const;
  bool matches_anywhere(std::string_view text) const;

 private:
  struct Code;
  std::string literal_;
  std::shared_ptr<const Code> code_;  // null: a literal
};

}  // namespace attnlab::text
