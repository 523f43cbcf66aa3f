// An evaluation of several tasks, with its file: used by eval_model and by runs.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "eval/task_run.h"
#include "results/evaluation_file.h"
#include "sandbox/sandbox.h"

namespace attnlab {

// Why the tasks can't be run on this machine (code without a sandbox), by label; empty if all can.
std::vector<std::pair<std::string, std::string>> tasks_left_out(const std::vector<TaskConfig>& tasks);

// Refuses equal labels and what require_valid refuses. `key`: of the list ("eval.tasks").
void require_valid_tasks(const std::vector<TaskConfig>& tasks, const std::string& key);

struct TaskEvaluation {
  std::vector<TaskData> tasks;
  SandboxOptions sandbox;
  FlatFields provenance;  // goes into the file as it is
  std::string identity;   // of the model and of how it computes: with the tasks, what findings depend on
};

// Where what is known so far lies while the evaluation goes on.
std::filesystem::path log_of(const std::filesystem::path& out);

// The log of an evaluation whose file is `out`; goes on with it if it is there.
TaskLog open_log(const TaskEvaluation& evaluation, const std::filesystem::path& out);
// One if a task's replies are programs, else null.
std::unique_ptr<Sandbox> sandbox_for(const TaskEvaluation& evaluation);

// Runs the tasks in order, writes the evaluation to `out` and removes the log. What a call before found and
// logged is not asked again. Throws what run_task and `progress` throw; the log stays then. Of ranks, which all
// call it, rank 0 has log, file, sandbox and record.
EvaluationRecord evaluate_tasks(const TaskModel& model, const TaskEvaluation& evaluation,
                                const std::filesystem::path& out,
                                const std::function<void(const TaskProgress&)>& progress,
                                World& world = World::alone());

}  // namespace attnlab
