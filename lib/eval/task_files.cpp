#include "eval/task_files.h"

#include <vector>

#include "core/errors.h"

namespace attnlab {
namespace fs = std::filesystem;
namespace {

struct Files {
  std::vector<std::string> problems;  // the first that is there
  std::string shots;                  // or nothing
};

Files files_of(Task task) {
  switch (task) {
    case Task::gsm8k:
    case Task::gsm8k_cot:
    case Task::gsm8k_cot_zeroshot:
      return {{"gsm8k/test.jsonl"}, "gsm8k/train.jsonl"};
    case Task::math:
      return {{"math/test.jsonl"}, ""};
    case Task::humaneval:
      return {{"humaneval/HumanEval.jsonl.gz", "humaneval/HumanEval.jsonl"}, ""};
    case Task::mbpp:
      return {{"mbpp/mbpp.jsonl"}, ""};
    case Task::mmlu:
      return {{"mmlu/test.jsonl"}, "mmlu/dev.jsonl"};
    case Task::piqa:
      return {{"piqa/valid.jsonl"}, ""};
    case Task::hellaswag:
      return {{"hellaswag/hellaswag_val.jsonl"}, ""};
    case Task::winogrande:
      return {{"winogrande/validation.jsonl"}, ""};
    case Task::arc_easy:
    case Task::arc_challenge:
    case Task::openbookqa:
      return {{std::string(name_of(task)) + "/test.jsonl"}, ""};
    case Task::perplexity:
      return {{"wikitext2/test.jsonl", "wikitext2/test.txt"}, ""};
    case Task::word_problems:
    case Task::code_functions:
    case Task::passkey:
    case Task::key_values:
    case Task::variable_trace:
      break;
  }
  return {};
}

}  // namespace

TaskConfig task_in_folder(Task task, const fs::path& folder) {
  TaskConfig config{.task = task};
  const Files files = files_of(task);
  if (files.problems.empty()) return config;
  for (const auto& file : files.problems)
    if (config.path.empty() && fs::exists(folder / file)) config.path = (folder / file).string();
  if (config.path.empty())
    throw InputError(
        BadInput{.file = "--data",
                 .found = folder.empty() ? "nothing" : "no " + (folder / files.problems[0]).string(),
                 .expected = "a folder that scripts/fetch_data.sh filled, with " + files.problems[0]});
  if (!files.shots.empty() && fs::exists(folder / files.shots))
    config.shots_path = (folder / files.shots).string();
  return config;
}

TaskConfig training_task_in_folder(Task task, const fs::path& folder) {
  switch (task) {
    case Task::word_problems:
    case Task::code_functions:
      return {.task = task};
    case Task::mbpp:
      return task_in_folder(task, folder);  // one file has all splits
    case Task::gsm8k:
    case Task::gsm8k_cot:
    case Task::gsm8k_cot_zeroshot:
      break;
    default:
      throw InputError(
          BadInput{.file = "--task",
                   .found = "'" + std::string(name_of(task)) + "', of which no training problems are known",
                   .expected = "gsm8k, mbpp, word_problems, code_functions, or --problems FILE"});
  }
  const fs::path file = folder / files_of(task).shots;
  if (!fs::exists(file))
    throw InputError(
        BadInput{.file = "--data",
                 .found = folder.empty() ? "nothing" : "no " + file.string(),
                 .expected = "a folder that scripts/fetch_data.sh filled, with " + files_of(task).shots});
  return {.task = task, .path = file.string()};
}

}  // namespace attnlab
