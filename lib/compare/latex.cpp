#include "compare/latex.h"

#include <fmt/format.h>

#include <array>
#include <string_view>
#include <utility>

#include "core/utf8.h"

namespace attnlab {
namespace {

std::string latex_character(char c) {
  switch (c) {
    case '\\':
      return "\\textbackslash{}";
    case '~':
      return "\\textasciitilde{}";
    case '^':
      return "\\textasciicircum{}";
    case '<':
      return "\\textless{}";
    case '>':
      return "\\textgreater{}";
    case '|':
      return "\\textbar{}";
    case '\n':
      return "\\newline ";
    case '\t':
      return " ";
    case '%':
    case '&':
    case '#':
    case '$':
    case '_':
    case '{':
    case '}':
      return {'\\', c};
    default:
      return static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? fmt::format("[U+{:04X}]", c)
                                                               : std::string(1, c);
  }
}

// Characters of our tables and of what models like to write.
constexpr auto unicode_commands = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"±", "$\\pm$"},
    {"Δ", "$\\Delta$"},
    {"…", "\\ldots{}"},
    {"×", "$\\times$"},
    {"−", "$-$"},
    {"≤", "$\\leq$"},
    {"≥", "$\\geq$"},
    {"→", "$\\rightarrow$"},
    {"√", "$\\surd$"},
    {"·", "$\\cdot$"},
    {"–", "--"},
    {"—", "---"},
    {"‘", "`"},
    {"’", "'"},
    {"“", "``"},
    {"”", "''"},
    {"•", "\\textbullet{}"},
});

int32_t code_point(std::string_view character) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(character[i]); };
  int32_t code = byte(0) & (0xFF >> (character.size() + 1));
  for (size_t i = 1; i < character.size(); ++i) code = (code << 6) | (byte(i) & 0x3F);
  return code;
}

// Letters with accents, which LaTeX puts together; it has no eth and no thorn in its first fonts.
bool is_composed_letter(int32_t code) {
  return code >= 0xC0 && code <= 0xFF && code != 0xD0 && code != 0xDE && code != 0xF0 && code != 0xFE;
}

std::string latex_wide(std::string_view character) {
  for (const auto& [known, command] : unicode_commands)
    if (known == character) return std::string(command);
  const int32_t code = code_point(character);
  return is_composed_letter(code) ? std::string(character) : fmt::format("[U+{:04X}]", code);
}

constexpr size_t longest_word = 12;  // characters that no line ends in

std::string written(const std::string& given, bool breakable) {
  const std::string text = utf8_lossy(given);
  std::string out;
  size_t in_word = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t length = valid_char_length(std::string_view(text).substr(at));
    const char c = text[at];
    out += length == 1 ? latex_character(c) : latex_wide(std::string_view(text).substr(at, length));
    at += length;
    in_word = c == ' ' || c == '\n' ? 0 : in_word + 1;
    if (!breakable || (in_word < longest_word && c != '_' && c != '/')) continue;
    out += "\\allowbreak{}";
    in_word = 0;
  }
  return out;
}

}  // namespace

std::string latex_text(const std::string& text) { return written(text, false); }

std::string latex_breakable(const std::string& text) { return written(text, true); }

}  // namespace attnlab
