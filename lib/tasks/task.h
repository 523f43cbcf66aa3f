// What a model is asked.
#pragma once

#include "core/names.h"

namespace attnlab {

enum class Task {
  gsm8k,
  gsm8k_cot,           // the same problems behind eight worked examples
  gsm8k_cot_zeroshot,  // the same problems with "Let's think step by step."
  word_problems,       // the project's own, in GSM8K's form
  math,
  humaneval,
  mbpp,
  code_functions,  // the project's own, prompts as HumanEval's, tests as MBPP's
  // The project's own, of contexts that hold what is asked (data/retrieval.h).
  passkey,
  key_values,
  variable_trace,
  mmlu,
  arc_easy,
  arc_challenge,
  piqa,
  hellaswag,
  openbookqa,
  winogrande,
  perplexity
};

template <>
struct EnumNames<Task> {
  static constexpr std::array<std::pair<std::string_view, Task>, 19> rows{
      {{"gsm8k", Task::gsm8k},
       {"gsm8k_cot", Task::gsm8k_cot},
       {"gsm8k_cot_zeroshot", Task::gsm8k_cot_zeroshot},
       {"word_problems", Task::word_problems},
       {"math", Task::math},
       {"humaneval", Task::humaneval},
       {"mbpp", Task::mbpp},
       {"code_functions", Task::code_functions},
       {"passkey", Task::passkey},
       {"key_values", Task::key_values},
       {"variable_trace", Task::variable_trace},
       {"mmlu", Task::mmlu},
       {"arc_easy", Task::arc_easy},
       {"arc_challenge", Task::arc_challenge},
       {"piqa", Task::piqa},
       {"hellaswag", Task::hellaswag},
       {"openbookqa", Task::openbookqa},
       {"winogrande", Task::winogrande},
       {"perplexity", Task::perplexity}}};
};

// How a task is measured: a text whose answer is compared, a program that is tested, the likeliest of given
// continuations, the likelihood of a text.
enum class TaskKind { answer, code, choice, perplexity };

TaskKind kind_of(Task task);
// The project's own: made without a file.
bool is_generated(Task task);
// Those of a context and a question about it.
bool is_retrieval(Task task);

}  // namespace attnlab
