#include "experiment/run/runner.h"

#include <fmt/format.h>

#include <algorithm>

#include "compare/planned_verdict.h"
#include "compare/task_verdict.h"
#include "compare/verdict.h"
#include "compare/verdict_format.h"
#include "experiment/inputs/provenance.h"
#include "experiment/rates/rate_selection.h"
#include "experiment/run/dry_run.h"
#include "experiment/run/run_state.h"
#include "experiment/tasks/run_tasks.h"
#include "train/rank_share.h"

namespace attnlab {

std::vector<std::string> validate_plan(const Plan& plan, int64_t ranks) {
  try {
    Plan resolved = plan;
    resolve_rates(resolved);
    for (const auto& run : resolved.runs) {
      find_device(run.config.device);
      check_same_config(run);
      if (auto problem = share_problem(run.config.train, ranks)) {
        problem->key = "train." + problem->key;
        throw InputError(*problem);
      }
    }
    auto warnings = plan.warnings;
    for (auto& line : parameter_warnings(count_runs(plan))) warnings.push_back(std::move(line));
    for (const auto& line : check_tasks(plan)) warnings.push_back(line);
    return warnings;
  } catch (const InputError& error) {
    throw located(error, plan.root);
  }
}

namespace {

// Rows that another machine is writing may not be whole here yet.
RunRecord read_for_verdict(const PlannedRun& run) {
  try {
    return read_run(run.file, false);
  } catch (const RunError&) {
    if (is_complete(run)) throw;
    return read_run_header(run.file);
  }
}

}  // namespace

std::string verdict_of_plan(const Plan& plan) {
  std::vector<RunRecord> records;
  for (const auto& run : plan.runs)
    if (!run.selects && std::filesystem::exists(run.file)) records.push_back(read_for_verdict(run));
  const bool any = std::any_of(records.begin(), records.end(),
                               [](const auto& run) { return run.state == RunState::complete; });
  if (!any) return "No run is complete yet.\n";
  return format_verdict(compare_arms(records), TableStyle::text) +
         format_task_verdict(compare_tasks(records), TableStyle::text) +
         (plan.claims ? format_planned(judge_planned(*plan.claims, records), TableStyle::text) : "");
}

}  // namespace attnlab
