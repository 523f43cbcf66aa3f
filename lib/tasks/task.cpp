#include "tasks/task.h"

#include "core/errors.h"

namespace attnlab {

TaskKind kind_of(Task task) {
  switch (task) {
    case Task::gsm8k:
    case Task::gsm8k_cot:
    case Task::gsm8k_cot_zeroshot:
    case Task::word_problems:
    case Task::math:
    case Task::passkey:
    case Task::key_values:
    case Task::variable_trace:
      return TaskKind::answer;
    case Task::humaneval:
    case Task::mbpp:
    case Task::code_functions:
      return TaskKind::code;
    case Task::mmlu:
    case Task::arc_easy:
    case Task::arc_challenge:
    case Task::piqa:
    case Task::hellaswag:
    case Task::openbookqa:
    case Task::winogrande:
      return TaskKind::choice;
    case Task::perplexity:
      return TaskKind::perplexity;
  }
  ATTNLAB_CHECK(false);
}

bool is_retrieval(Task task) {
  return task == Task::passkey || task == Task::key_values || task == Task::variable_trace;
}

bool is_generated(Task task) {
  return task == Task::word_problems || task == Task::code_functions || is_retrieval(task);
}

}  // namespace attnlab
