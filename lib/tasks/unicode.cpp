#include "tasks/unicode.h"

#include <utf8proc.h>

#include <algorithm>

#include "text/utf8.h"

namespace attnlab {
namespace {

// Calls action(code point, its bytes); a malformed byte is U+FFFD.
template <class Action>
void for_each_character(std::string_view text, Action action) {
  while (!text.empty()) {
    const size_t length = text::valid_char_length(text);
    const size_t step = std::max<size_t>(length, 1);
    action(length == 0 ? U'\uFFFD' : text::first_code_point(text), text.substr(0, step));
    text.remove_prefix(step);
  }
}

// Bytes of the last character; 1 where the end is malformed.
size_t last_length(std::string_view text) {
  for (size_t length = 1; length <= std::min<size_t>(4, text.size()); ++length)
    if (text::valid_char_length(text.substr(text.size() - length)) == length) return length;
  return 1;
}

}  // namespace

bool is_python_space(char32_t c) {
  if (c < 0x80) return c == U' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return c == 0x85 || category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

bool is_word_character(char32_t c) {
  if (c == U'_') return true;
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
         (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

size_t length_without_trailing_space(std::string_view text) {
  while (!text.empty()) {
    const size_t length = last_length(text);
    const std::string_view last = text.substr(text.size() - length);
    if (text::valid_char_length(last) == 0 || !is_python_space(text::first_code_point(last))) break;
    text.remove_suffix(length);
  }
  return text.size();
}

std::string stripped(std::string_view text) {
  text = text.substr(0, length_without_trailing_space(text));
  while (!text.empty()) {
    const size_t length = text::valid_char_length(text);
    if (length == 0 || !is_python_space(text::first_code_point(text))) break;
    text.remove_prefix(length);
  }
  return std::string(text);
}

int64_t character_count(std::string_view text) {
  int64_t count = 0;
  for_each_character(text, [&](char32_t, std::string_view) { ++count; });
  return count;
}

int64_t word_count(std::string_view text) {
  int64_t runs = 0;
  bool inside = false;
  for_each_character(text, [&](char32_t c, std::string_view) {
    const bool space = is_python_space(c);
    if (space && !inside) ++runs;
    inside = space;
  });
  return runs + 1;
}

std::string capitalized(std::string_view text) {
  std::string out;
  bool first = true;
  for_each_character(text, [&](char32_t c, std::string_view bytes) {
    const auto point = static_cast<utf8proc_int32_t>(c);
    if (text::valid_char_length(bytes) == 0)
      out += bytes;
    else
      text::append_utf8(static_cast<char32_t>(first ? utf8proc_totitle(point) : utf8proc_tolower(point)), out);
    first = false;
  });
  return out;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  std::string out;
  size_t at = 0;
  for (size_t hit = text.find(from); hit != std::string::npos; hit = text.find(from, at)) {
    out.append(text, at, hit - at).append(to);
    at = hit + from.size();
  }
  return out.append(text, at);
}

}  // namespace attnlab
