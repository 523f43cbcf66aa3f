#include "experiment/tasks/run_tasks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

#include "core/files.h"
#include "experiment/inputs/provenance.h"
#include "experiment/tasks/task_scores.h"
#include "model/cache_calibration.h"

namespace attnlab {
namespace {

std::string in_words(const EvaluationRecord& record) {
  std::string out;
  for (const auto& row : record.scores)
    out += fmt::format("{}{}{} {} {}", out.empty() ? "" : ", ", row.task,
                       row.protocol.empty() ? "" : " (" + row.protocol + ")", row.metric,
                       std::isnan(row.low) ? fmt::format("{:.4g}", row.value)
                                           : fmt::format("{:.1f} % of {}", 100 * row.value, row.n));
  return out;
}

}  // namespace

std::vector<TaskConfig> resolved_tasks(const Plan& plan, const EvalConfig& config) {
  auto tasks = config.tasks;
  for (size_t i = 0; i < tasks.size(); ++i) {
    const auto resolve = [&](std::string& path, const char* name) {
      if (!path.empty()) path = existing_path(plan, path, fmt::format("eval.tasks.{}.{}", i, name)).string();
    };
    resolve(tasks[i].path, "path");
    resolve(tasks[i].shots_path, "shots_path");
  }
  require_valid_tasks(tasks, "eval.tasks");
  return tasks;
}

void remove_tasks_files(const std::filesystem::path& run_file) {
  const std::string beginning = tasks_prefix(run_file);
  std::error_code ignored;
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(run_file.parent_path(), ignored))
    if (entry.path().filename().string().starts_with(beginning)) found.push_back(entry.path());
  for (const auto& path : found) std::filesystem::remove(path);
}

namespace {

// Arms and seeds share their tasks, most often.
std::vector<std::vector<TaskConfig>> task_lists(const Plan& plan) {
  std::vector<std::vector<TaskConfig>> lists;
  std::vector<FlatFields> seen;
  for (const auto& run : plan.runs) {
    const auto fields = flatten(EvalConfig{.tasks = run.config.eval.tasks});
    if (run.selects || std::find(seen.begin(), seen.end(), fields) != seen.end()) continue;
    seen.push_back(fields);
    lists.push_back(resolved_tasks(plan, run.config.eval));
  }
  return lists;
}

std::vector<TaskData> load_tasks(const std::vector<TaskConfig>& configs) {
  std::vector<TaskData> tasks;
  for (size_t i = 0; i < configs.size(); ++i)
    tasks.push_back(load_task(configs[i], "eval.tasks." + configs[i].label()));
  return tasks;
}

}  // namespace

std::vector<std::string> check_tasks(const Plan& plan) {
  std::vector<std::string> left_out;
  for (const auto& list : task_lists(plan)) {
    load_tasks(list);
    for (const auto& [label, reason] : tasks_left_out(list))
      left_out.push_back(fmt::format("task {} will be left out: {}", label, reason));
  }
  return left_out;
}

std::string describe_plan_tasks(const Plan& plan) {
  std::string out;
  std::set<uint64_t> seeds;
  for (const auto& run : plan.runs)
    if (!run.selects) seeds.insert(run.config.seed);
  for (const auto& list : task_lists(plan)) out += describe_tasks(load_tasks(list), std::ssize(seeds));
  return out.empty() ? out : "tasks:\n" + out;
}

RunTasks::RunTasks(const Plan& plan, const PlannedRun& run, std::shared_ptr<const Base> base, World& world)
    : run_(run), world_(world), base_(std::move(base)) {
  if (run.selects || run.config.eval.tasks.empty()) return;
  const auto tasks = resolved_tasks(plan, run.config.eval);
  // A line for each task: why it is left out, or nothing.
  std::istringstream reasons(world.first_says([&] {
    const auto left_out = tasks_left_out(tasks);
    std::string lines;
    for (const auto& task : tasks) {
      for (const auto& [label, reason] : left_out)
        if (label == task.label()) lines += reason;
      lines += "\n";
    }
    return lines;
  }));
  std::string hashes;
  for (const auto& task : tasks) {
    std::string reason;
    std::getline(reasons, reason);
    if (!reason.empty()) {
      notes_.push_back(fmt::format("{} is left out: {}", task.label(), reason));
      continue;
    }
    evaluation_.tasks.push_back(load_task(task, "eval.tasks." + task.label()));
    hashes += evaluation_.tasks.back().sha256 + "\n";
  }
  if (!world.is_alone()) world.require_same("eval.tasks (SHA-256)", sha256(hashes));
}

std::string RunTasks::evaluate(Decoder& decoder, int64_t step,
                               const std::function<void(const TaskProgress&)>& progress) const {
  const auto file = tasks_file(run_.file, step);
  if (evaluation_.tasks.empty()) return "";
  const auto is_done = [&]() -> std::string {
    if (!std::filesystem::exists(file)) return "no";
    std::filesystem::remove(log_of(file));  // of a call that was killed right behind the file's last byte
    return "yes";
  };
  if (world_.first_says(is_done) == "yes") return "";
  TaskEvaluation evaluation = evaluation_;
  evaluation.provenance = machine_facts(decoder.device());
  for (const auto& [key, value] : flatten(run_.config)) {
    if (key != "device") evaluation.identity += key + ": " + to_text(value) + "\n";
  }
  evaluation.identity += fmt::format("{} {} step {}", base_->weights_sha256, base_->tokenizer_sha256, step);
  evaluation.provenance.emplace_back("run", run_.file.filename().string());
  evaluation.provenance.emplace_back("step", step);
  const TaskModel model{.decoder = decoder,
                        .tokenizer = *base_->tokenizer,
                        .bos_id = base_->bos_id,
                        .prefix_id = base_->bos_id.value_or(base_->eos_id),
                        .eos_id = base_->eos_id,
                        .stop_ids = base_->stop_ids,
                        .precision = run_.config.train.precision,
                        .cache = cache_plan_for(run_.config.eval.cache, decoder),
                        .batch_rows = run_.config.eval.batch_size,
                        .batch_invariant = run_.config.eval.batch_invariant};
  return in_words(evaluate_tasks(model, evaluation, file, progress, world_));
}

}  // namespace attnlab
