// How the difference of two arms scattered in runs that are there.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "compare/verdict.h"
#include "stats/planning.h"

namespace attnlab {

// What a claim or a plan is about: a metric of runs, or a task ("gsm8k", "gsm8k/lm_eval_strict").
struct MetricName {
  std::optional<Metric> metric;
  std::string task, protocol;  // protocol: "" for the task's first one
  bool is_loss() const { return metric && *metric != Metric::accuracy; }
  // Losses are told in nats per token, shares of problems in points.
  double factor() const { return is_loss() ? 1 : 100; }
};
MetricName parse_metric(const std::string& name);

// Variances of the difference in the metric's own unit (nats, shares), not in points.
struct MeasuredSpread {
  ScoreSpread spread;      // of a loss: `seed` alone
  Interval seed_variance;  // with its 95 % interval
  double difference = not_known;
  CrossedDesign design;  // that it was measured with
};

// Arm less against over the seeds that both have, at one sweep point. Nothing with fewer than two such seeds,
// and of shares where seeds were asked different problems.
std::optional<MeasuredSpread> measured_spread(const std::vector<RunRecord>& runs, const std::string& arm,
                                              const std::string& against, const MetricName& name);

// How long the runs of an arm took on their device, from their files.
struct ArmTime {
  double seconds_per_step = 0;    // training
  double seconds_evaluating = 0;  // of a run: evaluations and tasks
  std::string device;
};
std::map<std::string, ArmTime> arm_times(const std::vector<RunRecord>& runs);
// Of evaluations of a run and of the tasks beside it.
double evaluation_seconds(const RunRecord& run);

}  // namespace attnlab
