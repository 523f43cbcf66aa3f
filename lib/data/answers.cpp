#include "data/answers.h"

#include <algorithm>

namespace attnlab {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Without leading zeros, without zeros after the last decimal, without an empty fraction.
std::string normalise(std::string_view number) {
  std::string text;
  std::copy_if(number.begin(), number.end(), std::back_inserter(text),
               [](char c) { return c != ',' && c != '$' && c != ' ' && c != '+'; });
  const bool negative = !text.empty() && text[0] == '-';
  if (negative) text.erase(0, 1);
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  const size_t leading = std::min(text.find_first_not_of('0'), text.size());
  const bool had_digits = !text.empty() || !number.empty();
  text.erase(0, leading);
  if (had_digits && (text.empty() || text[0] == '.')) text.insert(0, "0");
  return negative && text != "0" ? "-" + text : text;
}

}  // namespace

std::string extract_answer(std::string_view output) {
  constexpr std::string_view mark = "#### ";
  const size_t start = output.find(mark);
  if (start == std::string_view::npos) return "";
  std::string number;
  bool digits = false;
  for (const char c : output.substr(start + mark.size())) {
    if (is_digit(c)) {
      digits = true;
      number += c;
    } else if ((c == '-' && number.empty()) || (c == '.' && number.find('.') == std::string::npos)) {
      number += c;
    } else if (!(c == ',' && digits) && !((c == '$' || c == ' ') && !digits)) {
      break;
    }
  }
  if (!digits) return "";
  if (number.back() == '.') number.pop_back();
  return number;
}

bool exact_match(std::string_view extracted, std::string_view gold) {
  return !extracted.empty() && !gold.empty() && normalise(extracted) == normalise(gold);
}

}  // namespace attnlab
