#include "data/answers.h"

#include <algorithm>
#include <array>

#include "core/json.h"

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

constexpr std::string_view kMark = "#### ", kSpace = " \t";

std::string_view without_space(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(kSpace), text.size()));
}

// Whether what follows a number belongs to it: then the number would be cut.
bool goes_on(std::string_view rest) {
  constexpr std::array<std::string_view, 11> kSigns{"/", "*", "^", "=", "+", "×", "÷", "⁄", "½", "¼", "¾"};
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (rest.empty()) return false;
  if (is_letter(rest[0]) || rest.starts_with("²") || rest.starts_with("³")) return true;
  if (rest[0] == ':' && rest.size() > 1 && is_digit(rest[1])) return true;
  const std::string_view next = without_space(rest);
  if (next.empty()) return false;
  if (next[0] == '-') {
    const std::string_view behind = without_space(next.substr(1));
    return !behind.empty() && is_digit(behind[0]);
  }
  return is_digit(next[0]) ||
         std::any_of(kSigns.begin(), kSigns.end(), [&](auto sign) { return next.starts_with(sign); });
}

// Digits with commas between them, then perhaps a fraction: nothing else of digits, commas and points is a
// number.
bool is_number(std::string_view text) {
  const size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const std::string_view part = point == std::string_view::npos ? std::string_view() : text.substr(point + 1);
  if (whole.starts_with(',') || whole.ends_with(',')) return false;
  return part.find_first_not_of("0123456789") == std::string_view::npos && whole.size() + part.size() > 0;
}

// The number that a line begins with, "" if there is none; `rest`: what stands behind it.
std::string number_of_line(std::string_view line, std::string_view& rest) {
  line = without_space(line);
  bool negative = false;
  while (!line.empty() && (line[0] == '$' || (line[0] == '-' && !negative))) {
    negative = negative || line[0] == '-';
    line = without_space(line.substr(1));
  }
  size_t end = std::min(line.find_first_not_of("0123456789.,"), line.size());
  rest = line.substr(end);
  while (end > 0 && !is_digit(line[end - 1])) --end;  // a full stop or comma of the sentence
  std::string number(line.substr(0, end));
  if (!is_number(number) || goes_on(rest)) return "";
  number.erase(std::remove(number.begin(), number.end(), ','), number.end());
  return negative ? "-" + number : number;
}

std::string_view line_at(std::string_view text, size_t begin) {
  std::string_view line = text.substr(begin);
  line = line.substr(0, line.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

std::string extract_answer(std::string_view output) {
  const size_t at = output.find(kMark);
  std::string_view rest;
  return at == std::string_view::npos ? "" : number_of_line(line_at(output, at + kMark.size()), rest);
}

std::optional<FinalAnswer> final_answer(std::string_view solution) {
  size_t at = solution.rfind("\n#### ");
  at = at != std::string_view::npos ? at + 1 : solution.starts_with(kMark) ? 0 : solution.rfind(kMark);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view line = line_at(solution, at + kMark.size());
  std::string_view rest;
  std::string number = number_of_line(line, rest);
  const bool heading = rest.data() > line.data() && *(rest.data() - 1) == '.' && !without_space(rest).empty();
  if (heading) number.clear();
  return FinalAnswer{std::move(number), std::string(without_space(line))};
}

std::optional<std::string> AnswersWithoutNumber::gold_of(std::string_view solution, int64_t line) {
  const auto answer = final_answer(solution);
  if (answer && !answer->number.empty()) return answer->number;
  // Headings of Markdown have the same mark.
  if (!answer || answer->text.find_first_of("0123456789") > 2) return std::nullopt;
  if (++count_ == 1) first_line_ = line, first_ = answer->text;
  return "";
}

void AnswersWithoutNumber::note(const std::filesystem::path& path, std::vector<std::string>& notes) const {
  if (count_ == 0) return;
  notes.push_back(path.string() + ": " + std::to_string(count_) + " final answer" +
                  (count_ == 1 ? " is" : "s are") + " no number and not asked for (first in line " +
                  std::to_string(first_line_) + ": \"" + printable(first_) + "\")");
}

bool exact_match(std::string_view extracted, std::string_view gold) {
  return !extracted.empty() && !gold.empty() && normalise(extracted) == normalise(gold);
}

}  // namespace attnlab
