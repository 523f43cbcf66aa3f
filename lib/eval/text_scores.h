// Tasks that are measured by likelihood: multiple choice and perplexity.
#pragma once

#include <functional>
#include <vector>

#include "eval/task_data.h"
#include "eval/task_model.h"
#include "tasks/perplexity.h"

namespace attnlab {

// One item's choices: their summed log-likelihoods, and whether each is what the model would say greedily.
struct ChoiceLikelihoods {
  std::vector<double> log_likelihoods;
  std::vector<bool> greedy;
};

// For the items [first, last). Contexts and continuations become ids as in lm_eval (tasks/text_pair.h), bos_id
// before them if the model has one; an empty context is prefix_id. Throws InputError if a continuation is
// longer than the model's window.
std::vector<ChoiceLikelihoods> choice_likelihoods(const TaskModel& model, const TaskData& data, int64_t first,
                                                  int64_t last);

// The likelihood of one text under both ways of cutting it (tasks/windows.h).
struct TextScore {
  TextLikelihood rolling;  // every token once, behind prefix_id
  double plain = 0;        // windows side by side, tail included
  int64_t plain_tokens = 0;
};

// `done` hears how many of how many windows are finished, and may throw to stop.
TextScore text_score(const TaskModel& model, const std::string& text,
                     const std::function<void(int64_t done, int64_t windows)>& done = {});

}  // namespace attnlab
