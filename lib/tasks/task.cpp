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

}  // namespace attnlab
