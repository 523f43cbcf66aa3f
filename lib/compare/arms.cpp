#include "compare/arms.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core/add_once.h"
#include "core/errors.h"
#include "core/find_field.h"

namespace attnlab {
namespace {

// "" where the config does not tell it.
std::string planned_steps(const RunRecord& run) {
  const FieldValue* steps = find_field(run.header.config, "train.steps");
  return steps ? " of " + to_text(*steps) : "";
}

}  // namespace

bool several_experiments(const std::vector<RunRecord>& runs) {
  return std::any_of(runs.begin(), runs.end(), [&](const RunRecord& run) {
    return run.header.experiment != runs.front().header.experiment;
  });
}

std::string arm_label(const RunHeader& header, bool several) {
  return several ? header.experiment + "/" + header.arm : header.arm;
}

std::vector<ArmName> arms_of(const std::vector<RunRecord>& runs) {
  const bool several = several_experiments(runs);
  std::vector<std::string> experiments;
  for (const auto& run : runs) add_once(experiments, run.header.experiment);
  std::vector<ArmName> arms;
  for (const auto& experiment : experiments) {
    std::map<std::pair<int64_t, std::string>, ArmName> ordered;
    for (const auto& run : runs)
      if (run.header.experiment == experiment)
        ordered[{run.header.arm_index, run.header.arm}] = {.label = arm_label(run.header, several),
                                                           .name = run.header.arm};
    for (const auto& [order, arm] : ordered) add_once(arms, arm);
  }
  return arms;
}

std::string find_baseline(const std::vector<ArmName>& arms, const std::string& wanted) {
  if (wanted.empty()) return arms.front().label;
  std::vector<std::string> labels;
  for (const auto& arm : arms) labels.push_back(arm.label);
  for (const auto& arm : arms)
    if (arm.label == wanted || arm.name == wanted) return arm.label;
  throw InputError({.file = "--baseline",
                    .found = "'" + wanted + "'",
                    .expected = one_of(labels, wanted),
                    .nearest = nearest_name(wanted, labels)});
}

std::string unfinished_note(const RunRecord& run) {
  if (run.state == RunState::complete) return "";
  if (run.state == RunState::failed) return fmt::format("failed after step {}: {}", run.last_step, run.message);
  const int64_t step = run.train.empty() ? run.last_step : run.train.back().step;
  return fmt::format("running, step {}{}", step, planned_steps(run));
}

}  // namespace attnlab
