// Multiple choice by likelihood: the model reads a context and the likeliest of given continuations is its
// answer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace attnlab {

// The members with one entry a choice have equal length.
struct ChoiceItem {
  std::vector<std::string> contexts;       // equal for all choices, but for WinoGrande's
  std::vector<std::string> continuations;  // scored behind it; begins with the space between
  std::vector<std::string> choices;        // whose length acc_norm divides by: without that space
  int64_t gold = 0;                        // index of the right one
  std::string header;                      // stands before everything (MMLU's subject), or empty
};

// A question with the answers behind it: continuations are a space and the choice.
ChoiceItem choice_item(const std::string& context, const std::vector<std::string>& choices, int64_t gold);

// Puts the first `count` items of `pool` before each item, answered, joined by blank lines; of items with a
// header only those with the same one. Throws InputError if there are fewer.
std::vector<ChoiceItem> with_shots(const std::vector<ChoiceItem>& items, const std::vector<ChoiceItem>& pool,
                                   int64_t count);

}  // namespace attnlab
