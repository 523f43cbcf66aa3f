#include "text/utf8.h"

namespace attnlab::text {

char32_t first_code_point(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const size_t length = char_length(first);
  if (length == 1) return first;
  char32_t code_point = first & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length; ++i)
    code_point = code_point << 6 | (static_cast<unsigned char>(text[i]) & 0x3Fu);
  return code_point;
}

char32_t last_code_point(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  return first_code_point(text.substr(begin));
}

void append_utf8(char32_t c, std::string& out) {
  const auto continuation = [&](int shift) { out += static_cast<char>(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | (c >> 6));
    continuation(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | (c >> 12));
    continuation(6);
    continuation(0);
  } else {
    out += static_cast<char>(0xF0 | (c >> 18));
    continuation(12);
    continuation(6);
    continuation(0);
  }
}

namespace {

// Unicode's White_Space.
bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

}  // namespace

size_t white_space_at_end(std::string_view text) {
  const size_t size = text.size();
  while (!text.empty() && is_white_space(last_code_point(text))) {
    std::string last;
    append_utf8(last_code_point(text), last);
    text.remove_suffix(last.size());
  }
  return size - text.size();
}

size_t white_space_at_start(std::string_view text) {
  const size_t size = text.size();
  while (!text.empty() && is_white_space(first_code_point(text)))
    text.remove_prefix(char_length(static_cast<unsigned char>(text[0])));
  return size - text.size();
}

}  // namespace attnlab::text
