// Generated word problems in the form of GSM8K: a short story, a worked solution with one calculation a line
// ("Tom has 3 + 4 = <<3+4=7>>7 cards."), and a last line "#### 7".
#pragma once

#include <cstdint>
#include <string>

#include "data/split.h"

namespace attnlab {

struct WordProblem {
  std::string question;
  std::string answer;  // the solution's lines and "#### N"
  int64_t gold = 0;    // N, not negative
  int64_t steps = 0;   // calculations in the solution
};

constexpr int64_t min_difficulty = 1;
constexpr int64_t max_difficulty = 5;

// The index-th problem of a split: a pure function of its arguments. `difficulty` (1 … 5) sets the number of
// steps (1-2, 2, 2-3, 3-4, 4-6) and the size of the numbers (up to 60, 120, 300, 1500, 9999). The split is
// decided by the question's text (split_of), so no problem lies in two splits, whatever the seeds.
WordProblem word_problem(uint64_t seed, Split split, int64_t index, int64_t difficulty);

}  // namespace attnlab
