// What curves are compared by, under the name that a user gives it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "compare/answers.h"
#include "compare/series.h"

namespace attnlab {

struct CurveMetric {
  enum class Kind { loss, heldout, accuracy, task };
  Kind kind = Kind::loss;
  std::string task, protocol, score;  // of a task: the row of /scores that is meant
  std::string title, unit;
  double scale = 1;  // values are shown times this: shares in percent
  int digits = 4;    // behind the point
};

// loss, heldout, accuracy, or a task as the evaluations beside the runs (tasks.*.h5) call it: "LABEL" (its
// first score), "LABEL/PROTOCOL" or "LABEL/PROTOCOL/SCORE". Throws InputError with the nearest name.
CurveMetric find_metric(const std::string& name, const std::vector<RunRecord>& runs);

struct MetricCurve {
  Series series;  // a run's values, scaled; rows that are not finite are left out
  // Of a metric that is a share of problems solved: the answers that its values come from, by their place on
  // the axis. Nothing for other metrics (pass@k with k > 1 is none).
  std::map<double, Answers> answers;
};
MetricCurve metric_curve(const RunRecord& run, const CurveMetric& metric, Axis axis);

}  // namespace attnlab
