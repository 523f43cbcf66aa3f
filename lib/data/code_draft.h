// A generated Python function before it is written out: what it does, its body, and worked cases.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/random.h"

namespace attnlab {

// How large a function of one difficulty may get.
struct CodeScale {
  int64_t constant;   // largest constant in the function
  int64_t length;     // longest list, and most words of a text
  int64_t low, high;  // numbers in the arguments
  bool compose;       // filters and mappings come together
  bool compound;      // filters have two conditions
};

struct CodeDraft {
  std::string name;
  std::string parameters;         // "values", "x"
  std::string result;             // "the sum of the numbers in the list that are even": decides the split
  std::vector<std::string> body;  // lines without the outer indentation
  std::vector<std::pair<std::string, std::string>> cases;  // arguments and expected value as Python literals
};

// The worked cases of every function: one for the docstring, three for the tests.
constexpr int64_t code_cases = 4;

using Numbers = std::vector<int64_t>;
using Words = std::vector<std::string>;
using CodeFamily = CodeDraft (*)(Random&, const CodeScale&);

// Python literals.
std::string python(bool value);
std::string python(int64_t value);
std::string python(const std::string& text);  // letters, digits, blanks and plain punctuation only
std::string python(const Numbers& values);
std::string python(const Words& words);

// Python's a % b for b > 0.
inline int64_t floor_mod(int64_t a, int64_t b) { return ((a % b) + b) % b; }

// Appends the cases of a function of one argument: `draw` makes an argument, `compute` the result.
template <class Draw, class Compute>
void add_cases(CodeDraft& draft, Draw draw, Compute compute) {
  for (int64_t i = 0; i < code_cases; ++i) {
    const auto argument = draw();
    draft.cases.emplace_back(python(argument), python(compute(argument)));
  }
}

}  // namespace attnlab
