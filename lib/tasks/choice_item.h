// Multiple choice by likelihood: the model reads a context and the likeliest of given continuations is its
// answer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tasks/task.h"

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

// Reads a task of kind `choice`, in the words of lm_eval's task of that name. Files are JSONL, perhaps gzipped,
// as the hub's rows or as the authors publish them:
//   mmlu        {question, subject, choices, answer}; answer an index or a letter
//   arc_*       {question, choices: {text, label}, answerKey}, or {question: {stem, choices: [{text, label}]},
//               answerKey}
//   openbookqa  the same with question_stem
//   piqa        {goal, sol1, sol2, label}; without a label: line by line from NAME-labels.lst beside NAME.jsonl
//   hellaswag   {activity_label, ctx_a, ctx_b, endings, label}
//   winogrande  {sentence, option1, option2, answer}
// Throws InputError with file, line and key.
std::vector<ChoiceItem> read_choices(Task task, const std::filesystem::path& path);

}  // namespace attnlab
