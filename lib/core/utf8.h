// What is UTF-8, and a defined result for what is none.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace attnlab {

// Length in bytes of the well-formed character at the start of `text`, or 0 if there is none (RFC 3629: no
// overlong forms, no surrogates, nothing above U+10FFFF).
size_t valid_char_length(std::string_view text);

bool is_valid_utf8(std::string_view text);

// Each maximal prefix of a character that goes wrong becomes one U+FFFD (Unicode 15, section 3.9, "substitution
// of maximal subparts"); the rest is copied.
std::string utf8_lossy(std::string_view text);

}  // namespace attnlab
