// The byte-level alphabet: each byte is written as one printable Unicode character (GPT-2's convention), so
// that any text is a sequence of 256 symbols. Printable Latin-1 bytes stand for themselves; the other 68 bytes
// become U+0100, U+0101, ... in the order of their values.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace attnlab::text {

// Appends the alphabet's spelling of `bytes`.
void append_byte_level(std::string_view bytes, std::string& out);

// The bytes that `spelling` (valid UTF-8) stands for, or nothing if a character is outside the alphabet.
std::optional<std::string> bytes_of_spelling(std::string_view spelling);

}  // namespace attnlab::text
