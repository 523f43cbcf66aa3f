// What a model replies to a task's problems.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "eval/task_data.h"
#include "eval/task_model.h"

namespace attnlab {

// Which problem, and the how-manieth reply to it.
using ReplyPlace = std::pair<int64_t, int64_t>;

// Generates every reply that is not in `have`. `hear` gets each as it ends, in no order, and may throw to stop.
// A reply ends at an end token, at the longest length, or once every protocol of the task has found one of its
// stop strings in it (the text keeps what stands behind). Prompts that leave no room are cut from the left.
// A reply depends on the model, its prompt and (seed, problem, sample), not on what else is asked.
void generate_replies(const TaskModel& model, const TaskData& data, const std::set<ReplyPlace>& have,
                      const std::function<void(ReplyPlace, const std::string&)>& hear);

}  // namespace attnlab
