// A word problem under construction: the question's sentences and the worked solution grow side by side.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/random.h"

namespace attnlab {

// How large a problem of one difficulty may get.
struct Scale {
  int64_t min_steps, max_steps;  // lines of the solution
  int64_t start;                 // largest number a story starts with
  int64_t amount;                // largest number added or taken away
  int64_t factor;                // largest multiplier or divisor
  int64_t cap;                   // largest value in between
};

// difficulty 1 … 5.
const Scale& scale_of(int64_t difficulty);

struct Person {
  std::string_view name, he, his, him;
};

// `text` with each "{key}" replaced by its value. Keys that are not given stay.
std::string fill(std::string_view text, std::initializer_list<std::pair<std::string_view, std::string>> values);

class Story {
 public:
  Story(Random& source, const Scale& limits, int64_t target_steps)
      : random(source), scale(limits), target(target_steps) {}

  // Adds a sentence to the question.
  void say(const std::string& sentence);
  // Adds the solution line "BEFORE 3 * 4 = <<3*4=12>>12 AFTER." and returns the result. With dollars, the
  // result is written "$<<3*4=12>>12".
  int64_t line(const std::string& before, const std::string& expression, int64_t result,
               const std::string& after = "", bool dollars = false);

  int64_t left() const { return target - steps; }
  // A number in [2, high]: nouns behind it are always plural.
  int64_t number(int64_t high) { return random.between(2, high < 2 ? 2 : high); }
  // A divisor of `value` in [2, scale.factor] with a quotient of at least 2; 0 if there is none.
  int64_t divisor(int64_t value);
  // Somebody who does not occur in the story yet.
  Person person();

  Random& random;
  const Scale& scale;
  const int64_t target;
  int64_t steps = 0;
  int64_t value = 0;  // the quantity that the story is about, after the last line
  std::string question, answer;

 private:
  std::vector<std::string_view> used_names_;
};

// Writes "A op B" with spaces, the way solutions show it.
std::string expression(int64_t a, char op, int64_t b);
std::string sum_expression(const std::vector<int64_t>& parts);

}  // namespace attnlab
