// The tasks that a run's model is evaluated on (eval.tasks), each time in a file of its own beside the run's.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "experiment/inputs/inputs.h"
#include "experiment/tasks/task_evaluation.h"
#include "model/decoder.h"

namespace attnlab {

// Those of all steps, and what an evaluation that was stopped left.
void remove_tasks_files(const std::filesystem::path& run_file);

// The plan's tasks with their files, paths resolved. Throws InputError (key: eval.tasks.N.…).
std::vector<TaskConfig> resolved_tasks(const Plan& plan, const EvalConfig& config);

// Reads the tasks of all runs; returns what will be left out on this machine, a line each. Throws InputError.
std::vector<std::string> check_tasks(const Plan& plan);
// What the plan's tasks ask and can show (task_scores.h); "" if there are none.
std::string describe_plan_tasks(const Plan& plan);

class RunTasks {
 public:
  // Leaves out what this machine (rank 0's) can't do; `notes` says what and why. Throws InputError where ranks
  // read different tasks.
  RunTasks(const Plan& plan, const PlannedRun& run, std::shared_ptr<const Base> base,
           World& world = World::alone());
  const std::vector<std::string>& notes() const { return notes_; }

  // Evaluates the model after `step`, unless that was done before. `progress` may throw to stop; the next call
  // goes on from there. Returns the scores in words, one line, at rank 0; "" if there is nothing to do. All
  // ranks call it.
  std::string evaluate(Decoder& decoder, int64_t step,
                       const std::function<void(const TaskProgress&)>& progress) const;

 private:
  const PlannedRun& run_;
  World& world_;
  std::shared_ptr<const Base> base_;
  TaskEvaluation evaluation_;
  std::vector<std::string> notes_;
};

}  // namespace attnlab
