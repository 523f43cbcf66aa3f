#include "final_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compare/answers.h"
#include "core/find_field.h"

namespace attnlab {
namespace {

std::vector<double> percents(const RunCell& cell, bool at_start) {
  std::vector<double> values;
  for (const RunRecord* run : cell.runs) {
    if (run->evaluations.empty()) continue;
    const EvaluationRow& row = at_start ? run->evaluations.front() : run->evaluations.back();
    if (row.problems > 0 && (row.step == 0) == at_start) values.push_back(100 * row.accuracy);
  }
  return values;
}

std::string field(double value) { return std::isnan(value) ? "" : fmt::format("{}", value); }

}  // namespace

Interval final_loss(const RunCell& cell) {
  std::vector<double> values;
  for (const RunRecord* run : cell.runs) values.push_back(metric_of(*run, Metric::heldout_loss));
  return mean_interval(values);
}

Interval final_accuracy(const RunCell& cell) {
  const std::vector<double> after = percents(cell, false);
  if (after.empty() || cell.runs.size() > 1) {
    AnswersBySeed answers;
    for (const RunRecord* run : cell.runs)
      if (Answers found = last_answers(*run); !found.empty()) answers[run->header.seed] = std::move(found);
    if (answers.size() > 1 && answers.size() == after.size()) return in_percent(share_right(answers));
    return {.value = mean_and_error(after).mean, .n = std::ssize(after)};
  }
  const EvaluationRow& row = cell.runs.front()->evaluations.back();
  return in_percent(wilson_interval(row.correct, row.problems));
}

double accuracy_before(const RunCell& cell) {
  const std::vector<double> before = percents(cell, true);
  return before.empty() ? not_known : spread_of(before).mean;
}

int64_t problems_asked(const RunCell& cell) {
  const auto& evaluations = cell.runs.front()->evaluations;
  return evaluations.empty() ? 0 : evaluations.back().problems;
}

Interval in_percent(Interval share) {
  for (double* value : {&share.value, &share.low, &share.high}) *value *= 100;
  return share;
}

std::string config_text(const RunRecord& run, const std::string& key) {
  const auto* text = find_field<std::string>(run.header.config, key);
  return text ? *text : "";
}

std::string csv_fields(const Interval& value) {
  return fmt::format("{},{},{}", field(value.value), field(value.low), field(value.high));
}

}  // namespace attnlab
