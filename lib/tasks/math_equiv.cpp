#include "tasks/math_equiv.h"

#include <algorithm>
#include <vector>

#include "tasks/unicode.h"
#include "text/utf8.h"

namespace attnlab {
namespace {

std::vector<std::string> split(const std::string& text, std::string_view separator) {
  std::vector<std::string> pieces;
  size_t at = 0;
  for (size_t hit; (hit = text.find(separator, at)) != std::string::npos; at = hit + separator.size())
    pieces.push_back(text.substr(at, hit - at));
  pieces.push_back(text.substr(at));
  return pieces;
}

size_t first_length(std::string_view text) {
  return text.empty() ? 0 : std::max<size_t>(text::valid_char_length(text), 1);
}

std::string without_notation(std::string text) {
  static const std::pair<std::string_view, std::string_view> rules[] = {
      {"\n", ""},     {"\\!", ""},     {"\\\\", "\\"},    {"tfrac", "frac"}, {"dfrac", "frac"},
      {"\\left", ""}, {"\\right", ""}, {"^{\\circ}", ""}, {"^\\circ", ""},   {"\\$", ""}};
  for (const auto& [from, to] : rules) text = replaced(std::move(text), from, to);
  return text;
}

std::optional<std::string> without_units(const std::string& text) {
  const auto pieces = split(text, "\\text{ ");
  if (pieces.size() > 2) return std::nullopt;
  return pieces[0];
}

std::string without_short_left_side(const std::string& text) {
  const auto sides = split(text, "=");
  return sides.size() == 2 && character_count(sides[0]) <= 2 ? sides[1] : text;
}

// \sqrt3 becomes \sqrt{3}: one character, a space too.
std::optional<std::string> braced_roots(const std::string& text) {
  const auto pieces = split(text, "\\sqrt");
  std::string out = pieces[0];
  for (size_t i = 1; i < pieces.size(); ++i) {
    const std::string& piece = pieces[i];
    if (piece.empty()) return std::nullopt;
    const size_t length = first_length(piece);
    out +=
        piece[0] == '{' ? "\\sqrt" + piece : "\\sqrt{" + piece.substr(0, length) + "}" + piece.substr(length);
  }
  return out;
}

// \frac12 and \frac1{2} become \frac{1}{2}. A lone character behind \frac leaves the whole text as it was.
std::optional<std::string> braced_fractions(const std::string& text) {
  const auto pieces = split(text, "\\frac");
  std::string out = pieces[0];
  for (size_t i = 1; i < pieces.size(); ++i) {
    const std::string& piece = pieces[i];
    if (piece.empty()) return std::nullopt;
    out += "\\frac";
    if (piece[0] == '{') {
      out += piece;
      continue;
    }
    const size_t first = first_length(piece);
    const std::string rest = piece.substr(first);
    if (rest.empty()) return text;
    out += "{" + piece.substr(0, first) + "}";
    const size_t second = first_length(rest);
    out += rest[0] == '{' ? rest : "{" + rest.substr(0, second) + "}" + rest.substr(second);
  }
  return out;
}

// Python's int(): digits with single "_" between them, a sign, white space around.
bool is_python_integer(const std::string& text) {
  std::string digits = stripped(text);
  if (!digits.empty() && (digits[0] == '+' || digits[0] == '-')) digits.erase(0, 1);
  bool after_digit = false;
  for (const char c : digits) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c != '_' || !after_digit)) return false;
    after_digit = digit;
  }
  return after_digit;
}

bool is_plain_integer(const std::string& text) {
  const std::string digits = text.starts_with('-') ? text.substr(1) : text;
  const bool leading_zero = digits.starts_with('0') && text != "0";
  return !leading_zero && is_python_integer(text) &&
         digits.find_first_not_of("0123456789") == std::string::npos;
}

// 1/2 becomes \frac{1}{2}; 01/2 stays.
std::optional<std::string> braced_quotient(const std::string& text) {
  const auto sides = split(text, "/");
  if (sides.size() != 2) return text;
  if (!is_python_integer(sides[0]) || !is_python_integer(sides[1])) return std::nullopt;
  if (!is_plain_integer(sides[0]) || !is_plain_integer(sides[1])) return text;
  return "\\frac{" + sides[0] + "}{" + sides[1] + "}";
}

}  // namespace

std::optional<std::string> plain_math(std::string text) {
  const auto unitless = without_units(without_notation(std::move(text)));
  if (!unitless) return std::nullopt;
  text = replaced(*unitless, "\\%", "");
  text = replaced(replaced(text, " .", " 0."), "{.", "{0.");
  if (text.empty()) return text;
  if (text[0] == '.') text = "0" + text;
  const auto rooted = braced_roots(without_short_left_side(text));
  if (!rooted) return std::nullopt;
  auto plain = braced_fractions(replaced(*rooted, " ", ""));
  if (!plain) return std::nullopt;
  return braced_quotient(*plain == "0.5" ? "\\frac{1}{2}" : *plain);
}

bool math_equivalent(const std::string& a, const std::string& b) {
  const auto plain_a = plain_math(a), plain_b = plain_math(b);
  return plain_a && plain_b ? *plain_a == *plain_b : a == b;
}

std::string between_dollars(std::string_view reply) {
  const size_t first = reply.find('$'), last = reply.rfind('$');
  return std::string(first == last ? reply : reply.substr(first + 1, last - first - 1));
}

}  // namespace attnlab
