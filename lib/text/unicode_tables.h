// Members of Unicode properties that the tokenizers library knows and the libraries that we call do not, or the
// other way round. All as the inside of a character class.
#pragma once

#include <string_view>

namespace attnlab::text {

// What PCRE2 before 10.43 and 10.45 lacks of \p{name}: members that came with Unicode 15 and 16. Empty for
// names that lack nothing.
std::string_view new_members(std::string_view name);

// The characters at which the Punctuation pre-tokenizer cuts: ASCII's, and those that an old version of Unicode
// called punctuation.
std::string_view punctuation_members();

// The lower-case form that came after Unicode 15; `c` itself if there is none.
char32_t new_lower_case(char32_t c);

}  // namespace attnlab::text
