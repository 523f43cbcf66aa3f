#include "experiment/runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/files.h"
#include "experiment/arm_model.h"
#include "experiment/dry_run.h"
#include "experiment/provenance.h"
#include "experiment/run_one.h"
#include "experiment/run_state.h"
#include "experiment/verdict.h"

namespace attnlab {

Shard parse_shard(const std::string& text) {
  Shard shard;
  const char* end = text.data() + text.size();
  const auto [slash, first] = std::from_chars(text.data(), end, shard.index);
  const bool divided = first == std::errc() && slash != end && *slash == '/';
  const auto [rest, second] = divided ? std::from_chars(slash + 1, end, shard.count)
                                      : std::from_chars_result{end, std::errc::invalid_argument};
  if (second != std::errc() || rest != end || shard.index < 1 || shard.index > shard.count)
    throw InputError(BadInput{
        .file = "--shard", .found = "'" + text + "'", .expected = "I/N with 1 <= I <= N, for instance 2/8"});
  return shard;
}

std::vector<std::string> validate_plan(const Plan& plan) {
  try {
    for (const auto& run : plan.runs) {
      find_device(run.config.device);
      check_same_config(run);
    }
    return parameter_warnings(count_runs(plan));
  } catch (const InputError& error) {
    throw located(error, plan.root);
  }
}

namespace {

enum class Outcome { complete_before, taken, finished };

Outcome try_run(const Plan& plan, const PlannedRun& run, Inputs& inputs, Reporter& reporter) {
  if (is_complete(run)) return Outcome::complete_before;
  FileLock lock(files_of(run).lock);
  if (!lock.try_lock()) return Outcome::taken;
  if (is_complete(run)) return Outcome::complete_before;  // finished by another process just now
  run_one(plan, run, inputs, find_device(run.config.device), reporter);
  return Outcome::finished;
}

// "gqa seed 0 (node3, process 4711)"
std::string with_holder(const PlannedRun& run) {
  const std::string holder = FileLock(files_of(run).lock).holder();
  return run_name(run) + (holder.empty() ? "" : " (" + holder + ")");
}

// Rows that another machine is writing may not be whole here yet.
RunRecord read_for_verdict(const PlannedRun& run) {
  if (is_complete(run)) return read_run(run.file, false);
  try {
    return read_run(run.file, false);
  } catch (const RunError&) {
    return read_run_header(run.file);
  }
}

}  // namespace

// What others work on is looked at again once this process has nothing else to do, as long as it then finds
// something: who held a run may have been killed meanwhile.
RunnerReport run_plan(const Plan& plan, const Shard& shard) {
  std::vector<const PlannedRun*> todo;
  int64_t steps = 0;
  for (size_t i = 0; i < plan.runs.size(); ++i) {
    if (!shard.holds(i)) continue;
    todo.push_back(&plan.runs[i]);
    steps += plan.runs[i].config.train.steps;
  }
  Reporter reporter(plan.runs.size(), steps);
  Inputs inputs(plan);
  RunnerReport report;
  for (bool first = true, progress = true; progress; first = false) {
    std::vector<const PlannedRun*> taken;
    progress = false;
    for (const PlannedRun* run : todo) {
      const Outcome outcome = try_run(plan, *run, inputs, reporter);
      if (outcome == Outcome::taken) taken.push_back(run);
      if (outcome != Outcome::finished && first) reporter.skip(run->config.train.steps);
      report.complete_before += outcome == Outcome::complete_before && first;
      report.finished += outcome == Outcome::finished;
      progress |= outcome == Outcome::finished;
    }
    todo = taken;
  }
  for (const PlannedRun* run : todo) report.left_to_others.push_back(with_holder(*run));
  return report;
}

std::string verdict_of_plan(const Plan& plan) {
  std::vector<RunRecord> records;
  for (const auto& run : plan.runs)
    if (std::filesystem::exists(run.file)) records.push_back(read_for_verdict(run));
  const bool any = std::any_of(records.begin(), records.end(),
                               [](const auto& run) { return run.state == RunState::complete; });
  if (!any) return "No run is complete yet.\n";
  return format_verdict(compare_arms(records), TableStyle::text);
}

}  // namespace attnlab
