// One task, from a model to scores.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "eval/task_log.h"
#include "ranks/world.h"

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
// Ranks share what is asked, in rounds: rank 0's log says what is known, and all logs get what all find. Rank 0
// alone needs the sandbox and gets scores. Findings don't depend on who asks.
TaskResult run_task(const TaskModel& model, const TaskData& data, TaskLog& log, Sandbox* sandbox,
                    const std::function<void(const TaskProgress&)>& progress = {},
                    World& world = World::alone());

}  // namespace attnlab
