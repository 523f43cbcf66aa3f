#include "data/story.h"

#include <algorithm>
#include <array>

#include "core/errors.h"

namespace attnlab {
namespace {

constexpr std::array<Scale, 5> story_scales{{
    {.min_steps = 1, .max_steps = 2, .start = 20, .amount = 10, .factor = 4, .cap = 60},
    {.min_steps = 2, .max_steps = 2, .start = 40, .amount = 20, .factor = 5, .cap = 120},
    {.min_steps = 2, .max_steps = 3, .start = 60, .amount = 40, .factor = 6, .cap = 300},
    {.min_steps = 3, .max_steps = 4, .start = 300, .amount = 150, .factor = 9, .cap = 1500},
    {.min_steps = 4, .max_steps = 6, .start = 1200, .amount = 600, .factor = 12, .cap = 9999},
}};

constexpr std::array<std::string_view, 12> men{"Tom",  "Ben",  "Sam", "Max",  "Leo",  "Paul",
                                               "Omar", "Ivan", "Raj", "Luis", "Kofi", "Hugo"};
constexpr std::array<std::string_view, 12> women{"Anna",  "Mia", "Lucy", "Emma", "Nora",  "Zoe",
                                                 "Aisha", "Mei", "Rosa", "Lena", "Priya", "Kate"};

}  // namespace

const Scale& scale_of(int64_t difficulty) {
  ATTNLAB_CHECK(difficulty >= 1 && difficulty <= static_cast<int64_t>(story_scales.size()));
  return story_scales[static_cast<size_t>(difficulty - 1)];
}

std::string fill(std::string_view text,
                 std::initializer_list<std::pair<std::string_view, std::string>> values) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t close = text[at] == '{' ? text.find('}', at) : std::string_view::npos;
    const auto value = close == std::string_view::npos
                           ? values.end()
                           : std::find_if(values.begin(), values.end(), [&](const auto& entry) {
                               return entry.first == text.substr(at + 1, close - at - 1);
                             });
    if (value == values.end()) {
      out += text[at++];
    } else {
      out += value->second;
      at = close + 1;
    }
  }
  return out;
}

void Story::say(const std::string& sentence) {
  if (!question.empty()) question += ' ';
  question += sentence;
}

int64_t Story::line(const std::string& before, const std::string& written, int64_t result,
                    const std::string& after, bool dollars) {
  std::string mark = written;
  mark.erase(std::remove(mark.begin(), mark.end(), ' '), mark.end());
  const std::string number = std::to_string(result);
  answer += before + ' ' + written + " = " + (dollars ? "$" : "") + "<<" + mark + '=' + number + ">>" + number;
  answer += (after.empty() ? "" : ' ' + after) + ".\n";
  ++steps;
  value = result;
  return result;
}

int64_t Story::divisor(int64_t of) {
  std::vector<int64_t> found;
  for (int64_t k = 2; k <= scale.factor; ++k)
    if (of % k == 0 && of / k >= 2) found.push_back(k);
  return found.empty() ? 0 : random.pick(found);
}

Person Story::person() {
  while (true) {
    const bool is_man = random.between(0, 1) == 0;
    const std::string_view name = random.pick(is_man ? men : women);
    if (std::find(used_names_.begin(), used_names_.end(), name) != used_names_.end()) continue;
    used_names_.push_back(name);
    return is_man ? Person{name, "he", "his", "him"} : Person{name, "she", "her", "her"};
  }
}

std::string expression(int64_t a, char op, int64_t b) {
  return std::to_string(a) + ' ' + op + ' ' + std::to_string(b);
}

std::string sum_expression(const std::vector<int64_t>& parts) {
  std::string text;
  for (const int64_t part : parts) text += (text.empty() ? "" : " + ") + std::to_string(part);
  return text;
}

}  // namespace attnlab
