// Generated Python functions in the forms of HumanEval (prompt with signature and docstring, body) and MBPP
// (text, code, list of assertions).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/split.h"

namespace attnlab {

struct CodeFunction {
  std::string task_id;                 // "Generated/train/3/17": split, difficulty, index
  std::string entry_point;             // the function's name
  std::string text;                    // "Write a function to return …."
  std::string prompt;                  // signature and docstring with one example
  std::string body;                    // indented lines that complete the prompt
  std::string code;                    // signature and body
  std::vector<std::string> test_list;  // three assertions
};

// The index-th function of a split: a pure function of its arguments. `difficulty` (1 … 5) sets the size of
// constants and lists, and from 2 on filters and mappings are combined, from 4 on conditions. The split is
// decided by `text`, which says all that the function does: names of functions, parameters and examples do not
// matter, so a held-out function is one that the train split never asks for.
CodeFunction code_function(uint64_t seed, Split split, int64_t index, int64_t difficulty);

}  // namespace attnlab
