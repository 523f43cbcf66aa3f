#include "compare/claims_runs.h"

// Claims about arms: their differences over seeds, and their conversions.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "compare/claim_plan.h"
#include "compare/claims_rules.h"
#include "compare/measured_table.h"
#include "compare/run_places.h"
#include "compare/task_verdict.h"

namespace attnlab {
namespace {

constexpr const char* no_common_seed = "the arms have no seed in common";
constexpr const char* no_runs = "there is no finished run of such an experiment";

std::optional<Metric> metric_named(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return from_name<Metric>(name == "heldout loss" ? "held-out loss" : name);
}

// The arm whose value is subtracted. Of a difference of gains, (arm - against) - (than - against), that is
// `than`: what they are gains over falls out, but for the seeds, which all three must have.
const std::string& subtracted(const RunsTest& test) { return test.than ? *test.than : test.against; }

std::string compared(const RunsTest& test, const std::string& what) {
  return test.than ? fmt::format("gain of {0} over {1} minus gain of {2} over {1}, {3}", test.arm, test.against,
                                 *test.than, what)
                   : fmt::format("{} minus {}, {}", test.arm, test.against, what);
}

Interval scaled(const Interval& interval, double factor) {
  Interval result{.value = factor * interval.value,
                  .low = factor * interval.low,
                  .high = factor * interval.high,
                  .n = interval.n};
  if (factor < 0) std::swap(result.low, result.high);
  return result;
}

void add_unequal_parameters(ClaimResult& part, const Place& place, const RunsTest& test) {
  const auto ours = static_cast<double>(place.first(test.arm)->header.parameters_trainable);
  const auto theirs = static_cast<double>(place.first(subtracted(test))->header.parameters_trainable);
  if (std::max(ours, theirs) <= 1.05 * std::min(ours, theirs)) return;
  part.why += theirs == 0 ? "; " + test.arm + " alone trains parameters"
                          : fmt::format("; {} trains {:.1f} % {} parameters than {}", test.arm,
                                        100 * std::abs(ours / theirs - 1), ours > theirs ? "more" : "fewer",
                                        subtracted(test));
}

ClaimResult part_of(const Place& place, const RunsTest& test, const std::string& what) {
  return {.experiment = place.name(), .comparison = compared(test, what), .scale = scale_of(place)};
}

// Verdict, or what keeps the seeds from giving one.
void rule_seeds(ClaimResult& part, const RunsTest& test, const Place& place) {
  const double value = part.effect.value;
  rule(part, part.effect, region_of(test));
  if (part.seeds == 0) part.why = no_common_seed;
  if (part.seeds > 0 && std::isnan(value)) part.why = "a value is not finite";
  if (part.seeds == 1 && !std::isnan(value)) {
    part.verdict = ClaimVerdict::not_shown;
    part.why = "one seed tells nothing of the scatter over seeds";
  }
  add_unequal_parameters(part, place, test);
}

// Where the claim says which difference matters: equivalent, or what would show it by the scatter of these
// runs.
void weigh(ClaimResult& part, const RunsTest& test, const Place& place, const PairedDifference& difference,
           const std::string& measure, double factor) {
  const bool one_sided = test.expect == Expectation::lower || test.expect == Expectation::higher;
  if (!test.matters || part.seeds < 2 || !part.effect.has_ends()) return;
  const double m = *test.matters;
  if (one_sided && !test.by && part.effect.low > -m && part.effect.high < m) {
    part.verdict = ClaimVerdict::equivalent;
    part.why = fmt::format("the interval lies inside ±{:.4g}, the smallest difference that matters", m);
    part.p = equivalence_p({.mean = factor * difference.student.mean,
                            .standard_error = std::abs(factor) * difference.student.standard_error},
                           difference.df, m);
    return;
  }
  if (part.verdict != ClaimVerdict::not_shown) return;
  const MetricName name = parse_metric(measure);
  if (const auto spread = measured_spread(place.runs, test.arm, test.against, name))
    part.why += fmt::format("; a difference of {:.4g} would be shown with {}", m,
                            needs_text({.expect = ClaimDirection::lower,
                                        .is_loss = name.is_loss(),
                                        .spread = spread->spread,
                                        .design = spread->design,
                                        .matters = m / name.factor(),
                                        .alpha = claims_alpha,
                                        .power = test.power.value_or(0.8)}));
}

int64_t problems_of(const RunRecord& run) {
  return run.evaluations.empty() ? 0 : run.evaluations.back().problems;
}

// Whether a value that is not finite is one that was measured.
bool measures(const RunRecord& run, Metric metric) {
  if (metric == Metric::training_loss) return !run.train.empty();
  if (run.evaluations.empty()) return false;
  const EvaluationRow& last = run.evaluations.back();
  return (metric == Metric::accuracy ? last.problems : last.heldout_tokens) > 0;
}

ClaimResult judge_metric(const RunsTest& test, const Place& place, Metric metric) {
  ClaimResult part = part_of(place, test, std::string(name_of(metric)));
  const bool accuracy = metric == Metric::accuracy;
  part.unit = accuracy ? "points" : "nats per token";
  const VerdictTable table = compare_arms(place.runs, subtracted(test));
  const auto row = std::find_if(table.rows.begin(), table.rows.end(),
                                [&](const ArmSummary& summary) { return summary.arm == test.arm; });
  for (const auto& run : place.runs)
    if (!measures(run, metric)) {
      part.why = fmt::format("{} was not measured in {}", name_of(metric), run.path.string());
      return part;
    }
  // Of losses a gain is what an arm lies below another.
  const double factor = accuracy ? 100 : test.than ? -1 : 1;
  const PairedDifference& difference = row->difference(metric);
  part.effect = scaled(difference.difference, factor);
  part.seeds = part.effect.n;
  part.problems = accuracy ? problems_of(*place.first(test.arm)) : 0;
  part.effect_size = std::copysign(1.0, factor) * difference.effect_size;
  part.p = p_at_border(difference, factor, region_of(test));
  rule_seeds(part, test, place);
  weigh(part, test, place, difference,
        accuracy                         ? "accuracy"
        : metric == Metric::heldout_loss ? "heldout_loss"
                                         : "training_loss",
        factor);
  return part;
}

std::vector<ClaimResult> judge_tasks(const RunsTest& test, const Place& place, const std::string& pattern) {
  std::vector<ClaimResult> parts;
  std::set<std::string> tasks;
  for (const auto& row : compare_tasks(place.runs, subtracted(test))) {
    tasks.insert(row.task);
    if (row.arm != test.arm || !fits_pattern(pattern, row.task) || !fits_pattern(test.protocol, row.protocol))
      continue;
    ClaimResult part = part_of(place, test, row.task + ", " + row.protocol);
    part.unit = "points";
    part.effect = scaled(row.difference, 100);
    part.seeds = std::ssize(row.seed_differences);
    part.problems = row.problems;
    part.effect_size = row.found.effect_size;
    if (part.seeds > 1) part.p = p_at_border(row.found, 100, region_of(test));
    rule_seeds(part, test, place);
    weigh(part, test, place, row.found, row.task + "/" + row.protocol, 100);
    parts.push_back(std::move(part));
  }
  if (parts.empty()) {
    const std::vector<std::string> names(tasks.begin(), tasks.end());
    parts.push_back(part_of(place, test, pattern));
    parts[0].why = fmt::format("no run was evaluated on a task '{}'{}", pattern,
                               names.empty() ? "" : ", only on " + join(names));
  }
  return parts;
}

// A part for each metric and task.
std::vector<ClaimResult> judge_place(const RunsTest& test, const Place& place) {
  std::vector<std::string> arms{test.arm, test.against};
  if (test.than) arms.push_back(*test.than);
  ClaimResult unknown = part_of(place, test, test.metric);
  unknown.why = arm_lacking(place, arms);
  if (!unknown.why.empty()) return {unknown};
  const Place chosen = with_arms(place, arms, test.than.has_value());
  if (chosen.runs.empty()) {
    unknown.verdict = ClaimVerdict::not_shown;
    unknown.why = no_common_seed;
    return {unknown};
  }
  std::vector<ClaimResult> parts;
  for (const auto& name : split_patterns(test.metric)) {
    const auto metric = metric_named(name);
    auto judged = metric ? std::vector{judge_metric(test, chosen, *metric)} : judge_tasks(test, chosen, name);
    for (auto& part : judged) parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace

std::vector<ClaimResult> judge(const RunsTest& test, const std::vector<RunRecord>& runs) {
  std::vector<ClaimResult> parts;
  for (const auto& place : places_of(runs, test.experiment, test.sweep_point))
    for (auto& part : judge_place(test, place)) parts.push_back(std::move(part));
  if (parts.empty())
    parts.push_back({.experiment = test.experiment, .comparison = compared(test, test.metric), .why = no_runs});
  return with_data(std::move(parts));
}

std::vector<ClaimResult> judge(const ConversionTest& test, const std::vector<RunRecord>& runs) {
  std::vector<ClaimResult> parts;
  const std::string measure(name_of(test.value));
  const bool logits = test.value != ConversionMeasure::kl_divergence;
  for (const auto& place : places_of(runs, test.experiment, test.sweep_point)) {
    ClaimResult part{.experiment = place.name(),
                     .comparison = test.arm + " against the base before training, " + measure,
                     .unit = logits ? "logits" : "nats per token",
                     .scale = scale_of(place),
                     .why = arm_lacking(place, {test.arm})};
    for (const auto& run : place.runs) {
      const double value = conversion_number(run, measure);
      if (run.header.arm != test.arm || std::isnan(value)) continue;
      ++part.seeds;
      part.effect.value = std::isnan(part.effect.value) ? value : std::max(part.effect.value, value);
    }
    part.effect.n = part.seeds;
    if (part.seeds > 0) {
      const bool small = part.effect.value < test.below;
      part.claimed_high = test.below;
      part.verdict = small ? ClaimVerdict::holds : ClaimVerdict::does_not_hold;
      part.why = fmt::format("the largest of {} run{} is {} {:.2g}", part.seeds, part.seeds == 1 ? "" : "s",
                             small ? "below" : "not below", test.below);
    } else if (part.why.empty()) {
      part.why = "the runs' files do not tell it";
    }
    parts.push_back(std::move(part));
  }
  if (parts.empty())
    parts.push_back({.experiment = test.experiment,
                     .comparison = test.arm + " against the base before training, " + measure,
                     .why = no_runs});
  return with_data(std::move(parts));
}

}  // namespace attnlab
