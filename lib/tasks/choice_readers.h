// Files of multiple choice.
#pragma once

#include <filesystem>
#include <vector>

#include "tasks/choice_item.h"
#include "tasks/task.h"

namespace attnlab {

// Reads a task of kind `choice`, in the words of lm_eval's task of that name. Files are JSONL or a JSON array,
// perhaps gzipped, as the hub's rows or as the authors publish them:
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
