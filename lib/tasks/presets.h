// Protocols: how the public harnesses ask, where they cut a reply, what they take for its answer and how they
// compare it. The same replies can be scored under several.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/names.h"
#include "tasks/problems.h"
#include "tasks/task.h"

namespace attnlab {

enum class Protocol {
  lm_eval_strict,        // gsm8k*: strict-match
  lm_eval_flexible,      // gsm8k*: flexible-extract
  lm_eval_cot,           // gsm8k scored as gsm8k_cot, strict-match
  lm_eval_cot_flexible,  // the same, flexible-extract
  lm_eval,               // humaneval, mbpp, hendrycks_math
  lm_eval_instruct,      // humaneval_instruct, mbpp_instruct
  bigcode,               // bigcode-evaluation-harness
  human_eval,            // the completion as it is
  evalplus,              // sanitised; a reply that is indented continues the prompt, others are chat replies
  evalplus_base,         // sanitised; every reply continues the prompt
  boxed,                 // math: the last \boxed of the reply
  numbers,               // retrieval: the first numbers of the reply, as many as are asked for
  transmla_v1            // the first version of the TransMLA paper: transmla_answers.h
};

template <>
struct EnumNames<Protocol> {
  static constexpr std::array<std::pair<std::string_view, Protocol>, 13> rows{
      {{"lm_eval_strict", Protocol::lm_eval_strict},
       {"lm_eval_flexible", Protocol::lm_eval_flexible},
       {"lm_eval_cot", Protocol::lm_eval_cot},
       {"lm_eval_cot_flexible", Protocol::lm_eval_cot_flexible},
       {"lm_eval", Protocol::lm_eval},
       {"lm_eval_instruct", Protocol::lm_eval_instruct},
       {"bigcode", Protocol::bigcode},
       {"human_eval", Protocol::human_eval},
       {"evalplus", Protocol::evalplus},
       {"evalplus_base", Protocol::evalplus_base},
       {"boxed", Protocol::boxed},
       {"numbers", Protocol::numbers},
       {"transmla_v1", Protocol::transmla_v1}}};
};

// The end token's text that lm_eval puts behind a task's own stop strings; evalplus lists it, too.
inline constexpr std::string_view kEndToken = "<|endoftext|>";

// Where the worked examples in front of a problem come from.
enum class ShotSource {
  none,
  train,         // sampled from the training file
  eight_worked,  // those of chain-of-thought prompting (cot_examples.h)
  first_mbpp     // MBPP's tasks 2, 3 and 4
};

struct Preset {
  // Asking. `question` ends where the reply begins; `solution` is what a worked example puts there.
  std::string (*question)(const Problem&) = nullptr;
  std::string (*solution)(const Problem&) = nullptr;
  ShotSource shot_source = ShotSource::none;
  int64_t shots = 0;  // the harness's default
  int64_t max_new_tokens = 256;
  // Scoring. A reply is cut at the stops, then `extract` takes its answer or program.
  std::vector<std::string> stops;
  std::string (*extract)(std::string_view) = nullptr;
  bool (*matches)(const std::string& extracted, const Problem&) = nullptr;         // answers
  std::string (*program)(const Problem&, const std::string& extracted) = nullptr;  // code
  enum class Sanitized { no, by_indentation, continuation } sanitized = Sanitized::no;
};

// Throws InputError naming --protocol and the protocols that know the task.
const Preset& preset_of(Task task, Protocol protocol);

// Those that know the task; none for tasks of kind `choice` and `perplexity`.
std::vector<Protocol> protocols_of(Task task);

}  // namespace attnlab
