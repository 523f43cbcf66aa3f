#include "core/utf8.h"

namespace attnlab {
namespace {

// The permitted range of the second byte narrows after four leading bytes (RFC 3629, section 4).
bool second_byte_fits(unsigned char first, unsigned char second) {
  switch (first) {
    case 0xE0:
      return second >= 0xA0 && second <= 0xBF;
    case 0xED:
      return second >= 0x80 && second <= 0x9F;
    case 0xF0:
      return second >= 0x90 && second <= 0xBF;
    case 0xF4:
      return second >= 0x80 && second <= 0x8F;
    default:
      return second >= 0x80 && second <= 0xBF;
  }
}

struct Progress {
  size_t bytes = 1;  // how far the character goes before it ends or goes wrong; at least 1
  bool complete = false;
};

Progress scan_char(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return {1, true};
  if (first < 0xC2 || first > 0xF4) return {1, false};
  const size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  for (size_t i = 1; i < length; ++i) {
    if (i >= text.size()) return {i, false};
    const auto byte = static_cast<unsigned char>(text[i]);
    if (!(i == 1 ? second_byte_fits(first, byte) : (byte & 0xC0) == 0x80)) return {i, false};
  }
  return {length, true};
}

}  // namespace

size_t valid_char_length(std::string_view text) {
  if (text.empty()) return 0;
  const Progress progress = scan_char(text);
  return progress.complete ? progress.bytes : 0;
}

bool is_valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const Progress progress = scan_char(text);
    if (!progress.complete) return false;
    text.remove_prefix(progress.bytes);
  }
  return true;
}

std::string utf8_lossy(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Progress progress = scan_char(text);
    out += progress.complete ? text.substr(0, progress.bytes) : std::string_view("\xEF\xBF\xBD");
    text.remove_prefix(progress.bytes);
  }
  return out;
}

}  // namespace attnlab
