// One task, from a model to scores.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "eval/task_log.h"

namespace attnlab {

struct TaskResult {
  std::string label;
  TaskData data;
  // answer, code: replies by problem, then by sample; for each protocol the scores of all of them.
  std::vector<Reply> replies;
  std::vector<std::vector<Score>> judged;  // as data.protocols
  std::vector<ChoiceLikelihoods> choices;  // by item
  std::vector<TextScore> texts;            // by document
  double seconds = 0;                      // of this call
};

// Where an evaluation stands: `what` is "replies", "programs", "items", "documents" or "windows".
struct TaskProgress {
  const std::string& label;
  const char* what;
  int64_t done = 0, total = 0;
};

// Asks what `log` does not know yet, then scores all of it. `sandbox`: needed for code, may be null else.
// `progress` may throw to stop; what was found by then is in the log.
TaskResult run_task(const TaskModel& model, const TaskData& data, TaskLog& log, Sandbox* sandbox,
                    const std::function<void(const TaskProgress&)>& progress = {});

}  // namespace attnlab
