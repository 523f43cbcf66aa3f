// UTF-8: decoding, encoding, and a defined result for malformed input.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace attnlab::text {

// A half-open range of bytes.
struct Span {
  size_t begin = 0;
  size_t end = 0;

  size_t size() const { return end - begin; }
  std::string_view of(std::string_view text) const { return text.substr(begin, end - begin); }
  bool operator==(const Span&) const = default;
};

// Length in bytes of the well-formed character at the start of `text`, or 0 if there is none (RFC 3629: no
// overlong forms, no surrogates, nothing above U+10FFFF).
size_t valid_char_length(std::string_view text);

bool is_valid_utf8(std::string_view text);

// Each maximal prefix of a character that goes wrong becomes one U+FFFD (Unicode 15, section 3.9, "substitution
// of maximal subparts"); the rest is copied.
std::string utf8_lossy(std::string_view text);

// Bytes that a character has by its first byte, for text known to be valid.
inline size_t char_length(unsigned char first) {
  return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

// The code point at the start of valid, non-empty text.
char32_t first_code_point(std::string_view text);
// The code point at the end of valid, non-empty text.
char32_t last_code_point(std::string_view text);

void append_utf8(char32_t code_point, std::string& out);

// Bytes of white space at an end of valid text.
size_t white_space_at_end(std::string_view text);
size_t white_space_at_start(std::string_view text);

}  // namespace attnlab::text
