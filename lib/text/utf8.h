// UTF-8: decoding and encoding.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/utf8.h"

namespace attnlab::text {

// A half-open range of bytes.
struct Span {
  size_t begin = 0;
  size_t end = 0;

  size_t size() const { return end - begin; }
  std::string_view of(std::string_view text) const { return text.substr(begin, end - begin); }
  bool operator==(const Span&) const = default;
};

using attnlab::is_valid_utf8;
using attnlab::utf8_lossy;
using attnlab::valid_char_length;

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
