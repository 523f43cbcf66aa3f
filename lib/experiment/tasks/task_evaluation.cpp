#include "experiment/tasks/task_evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/errors.h"
#include "experiment/tasks/task_scores.h"

namespace attnlab {
namespace {

bool is_code(const TaskConfig& config) { return kind_of(config.task) == TaskKind::code; }

// All that findings depend on. Programs are run anew: limits of the sandbox are not part of it.
std::string identity_of(const TaskEvaluation& evaluation) {
  std::string text = evaluation.identity;
  for (const auto& task : evaluation.tasks) {
    for (const auto& [key, value] : flatten(task.config)) text += "\n" + key + ": " + to_text(value);
    text += "\n" + task.sha256;
    for (const auto& prompt : task.prompts) text += "\n" + prompt;
  }
  return text;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> tasks_left_out(const std::vector<TaskConfig>& tasks) {
  std::vector<std::pair<std::string, std::string>> out;
  if (std::none_of(tasks.begin(), tasks.end(), is_code)) return out;
  const auto reason = Sandbox::unavailable();
  if (!reason) return out;
  for (const auto& task : tasks)
    if (is_code(task)) out.emplace_back(task.label(), *reason);
  return out;
}

void require_valid_tasks(const std::vector<TaskConfig>& tasks, const std::string& key) {
  std::set<std::string> labels;
  for (size_t i = 0; i < tasks.size(); ++i) {
    const std::string item = fmt::format("{}.{}", key, i);
    require_valid(tasks[i], fmt::format("{}.{}", key, tasks[i].label()));
    const std::string label = tasks[i].label();
    if (label.find('/') != std::string::npos || label == "." || label == "..")
      throw InputError(
          BadInput{.key = item + ".name", .found = "'" + label + "'", .expected = "a name without '/'"});
    if (!labels.insert(label).second)
      throw InputError(BadInput{.key = item + ".name",
                                .found = "'" + label + "', which another task has",
                                .expected = "a name of its own"});
  }
}

std::filesystem::path log_of(const std::filesystem::path& out) { return out.string() + ".partial.jsonl"; }

TaskLog open_log(const TaskEvaluation& evaluation, const std::filesystem::path& out) {
  if (out.has_parent_path()) std::filesystem::create_directories(out.parent_path());
  return {log_of(out), identity_of(evaluation)};
}

std::unique_ptr<Sandbox> sandbox_for(const TaskEvaluation& evaluation) {
  for (const auto& task : evaluation.tasks)
    if (is_code(task.config)) return std::make_unique<Sandbox>(evaluation.sandbox);
  return nullptr;
}

EvaluationRecord evaluate_tasks(const TaskModel& model, const TaskEvaluation& evaluation,
                                const std::filesystem::path& out,
                                const std::function<void(const TaskProgress&)>& progress, World& world) {
  std::unique_ptr<Sandbox> sandbox;
  TaskLog log;
  world.first_does([&] {
    sandbox = sandbox_for(evaluation);
    log = open_log(evaluation, out);
  });
  EvaluationRecord record{.provenance = evaluation.provenance, .path = out};
  for (const auto& task : evaluation.tasks) {
    const TaskResult result = run_task(model, task, log, sandbox.get(), progress, world);
    if (!world.is_first()) continue;
    record.tasks.push_back(task_record(result));
    record.tasks.back().config.emplace_back("seconds", result.seconds);
    const auto scores = task_scores(result);
    record.scores.insert(record.scores.end(), scores.begin(), scores.end());
  }
  world.first_does([&] {
    write_evaluation(out, record);
    log.remove();
  });
  return record;
}

}  // namespace attnlab
