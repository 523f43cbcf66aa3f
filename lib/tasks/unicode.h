// White space, words and characters of UTF-8 text as Python's str counts them: the public harnesses are in
// Python, and their rules mean its notions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace attnlab {

// str.isspace() of one character: bidirectional class WS, B or S, or category Zs (Unicode 15).
bool is_python_space(char32_t c);
// \w of a regular expression: a letter, a number of any kind, or "_".
bool is_word_character(char32_t c);

// Bytes before the white space at the end, and str.strip().
size_t length_without_trailing_space(std::string_view text);
std::string stripped(std::string_view text);

// Code points; malformed bytes count one each.
int64_t character_count(std::string_view text);

// Pieces of a split at runs of white space: leading and trailing runs make an empty piece that counts.
int64_t word_count(std::string_view text);

// str.capitalize(): the first character in upper case, all others in lower case (one character for one).
std::string capitalized(std::string_view text);

// `text` with every `from` replaced by `to`, from left to right.
std::string replaced(std::string text, std::string_view from, std::string_view to);

}  // namespace attnlab
