#include "text/byte_level.h"

#include <array>
#include <cstdint>

#include "text/utf8.h"

namespace attnlab::text {
namespace {

struct Alphabet {
  std::array<std::string, 256> spelling;
  std::array<int16_t, 0x144> byte_of;  // by code point; -1: outside the alphabet

  Alphabet() {
    byte_of.fill(-1);
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      const char32_t code_point = printable ? static_cast<char32_t>(byte) : next++;
      append_utf8(code_point, spelling[byte]);
      byte_of[code_point] = static_cast<int16_t>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet table;
  return table;
}

}  // namespace

void append_byte_level(std::string_view bytes, std::string& out) {
  const Alphabet& table = alphabet();
  for (const char byte : bytes) out += table.spelling[static_cast<unsigned char>(byte)];
}

std::optional<std::string> bytes_of_spelling(std::string_view spelling) {
  const Alphabet& table = alphabet();
  std::string bytes;
  while (!spelling.empty()) {
    const char32_t c = first_code_point(spelling);
    if (c >= table.byte_of.size() || table.byte_of[c] < 0) return std::nullopt;
    bytes += static_cast<char>(table.byte_of[c]);
    spelling.remove_prefix(char_length(static_cast<unsigned char>(spelling[0])));
  }
  return bytes;
}

}  // namespace attnlab::text
