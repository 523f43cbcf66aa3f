#include "tasks/transmla_answers.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "tasks/extract.h"
#include "tasks/unicode.h"

namespace attnlab {
namespace {

constexpr std::string_view kMark = "The answer is: ", kPlainDigits = "0123456789", kSeparators = ".,/";

std::optional<std::string> after_last_mark(std::string_view reply) {
  const size_t at = reply.rfind(kMark);
  if (at == std::string_view::npos) return std::nullopt;
  return stripped(reply.substr(at + kMark.size()));
}

size_t digits_end(std::string_view text, size_t at) {
  return std::min(text.find_first_not_of(kPlainDigits, at), text.size());
}

// The first match of [-+]?\d*[.,/]?\d+, or "".
std::string_view first_number(std::string_view text) {
  for (size_t at = 0; at < text.size(); ++at) {
    const size_t first = text[at] == '-' || text[at] == '+' ? at + 1 : at;
    size_t end = digits_end(text, first);
    if (end < text.size() && kSeparators.find(text[end]) != std::string_view::npos)
      if (const size_t more = digits_end(text, end + 1); more > end + 1) end = more;
    if (end > first) return text.substr(at, end - at);
  }
  return {};
}

// Nothing for a quotient without a numerator or by "00".
std::optional<double> value_of(const std::string& number) {
  const size_t slash = number.find('/');
  const double value = std::strtod(replaced(number, ",", "").c_str(), nullptr);
  if (slash == std::string::npos) return value;
  const std::string below = number.substr(slash + 1);
  if (number.find_first_of(kPlainDigits) > slash) return std::nullopt;
  if (below == "0") return value;
  const double divisor = std::strtod(below.c_str(), nullptr);
  if (divisor == 0) return std::nullopt;
  return value / divisor;
}

std::string whole_text(double value) {
  std::string text = std::to_string(value);
  text.erase(text.find('.'));
  return text == "-0" ? "0" : text;
}

// Cuts at the first `mark`, if there is one.
std::string cut_at(std::string text, std::string_view mark) {
  const size_t at = text.find(mark);
  return at == std::string::npos ? text : stripped(text.substr(0, at));
}

}  // namespace

std::string rounded_answer(std::string_view reply) {
  const auto rest = after_last_mark(reply);
  const std::string number(rest ? first_number(*rest) : std::string_view());
  const auto value = number.empty() ? std::nullopt : value_of(number);
  if (!value || !std::isfinite(*value)) return std::string(kNoAnswer);
  return whole_text(std::nearbyint(*value));
}

bool same_rounded_number(const std::string& answer, const std::string& gold) {
  if (answer == kNoAnswer) return false;
  const std::string plain = replaced(gold, ",", "");
  char* end = nullptr;
  const double value = std::strtod(plain.c_str(), &end);
  return end != plain.c_str() && *end == '\0' && value == std::strtod(answer.c_str(), nullptr);
}

std::string math_answer_text(std::string_view reply) {
  const size_t at = reply.rfind(kMark);
  if (at == std::string_view::npos) return std::string(kNoAnswer);
  const std::string_view rest = reply.substr(at + kMark.size());
  std::string answer = stripped(rest.substr(0, rest.find(".\n")));
  if (answer.ends_with('.')) answer.pop_back();
  return stripped(answer);
}

std::string code_of_reply(std::string_view reply) {
  const std::string_view fence = "```python";
  std::string code = replaced(std::string(reply), "\r", "");
  if (const size_t at = code.find(fence); at != std::string::npos)
    code = cut_at(replaced(stripped(code.substr(at)), fence, ""), "\n```");
  code = cut_at(std::move(code), "if __name__ == \"__main__\":");
  return cut_at(cut_at(std::move(code), "# Example usage"), "assert");
}

}  // namespace attnlab
