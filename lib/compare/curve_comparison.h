// Curves of arms side by side: one metric over one axis, summed up over seeds, with each arm's difference to
// the baseline on the same seeds.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "compare/curve_metric.h"
#include "compare/verdict.h"

namespace attnlab {

// The runs of one arm at one sweep point, by seed.
struct ArmCurves {
  std::string arm, sweep_point;
  std::map<int64_t, Series> by_seed;
  std::map<int64_t, std::map<double, Answers>> answers;  // of shares: by seed, by place (metric_curve)
  double scale = 1;                                      // the metric's
  std::vector<int64_t> drawn;  // seeds that drawings show: the complete ones, or all if none is
  double first = 0, last = 0;  // between these all drawn ones have values
};

struct CurveComparison {
  CurveMetric metric;
  Axis axis = Axis::steps;
  size_t window = 1;  // rows of the moving mean
  std::string baseline;
  std::vector<std::string> arms;       // labels
  std::vector<std::string> points;     // sweep points; {""} without a sweep
  std::vector<ArmCurves> curves;       // by sweep point, then by arm; those without a value are left out
  std::vector<std::string> notes;      // runs that go on or were left out
  std::vector<std::string> warnings;   // arms with other data or another base than the baseline
  std::vector<const RunRecord*> runs;  // that are shown

  std::vector<const ArmCurves*> at_point(const std::string& point) const;
};

struct CurveOptions {
  Axis axis = Axis::steps;
  int64_t smooth = 0;  // rows of the moving mean; 0: for the training loss about a fortieth of the rows
  std::string baseline;
  bool failed = false;  // show runs that failed, too
};

// Runs that are still written take part with what they have, and are named in the notes. Throws InputError if
// no run has the metric, or there is no such arm or metric. Points into `runs`.
CurveComparison compare_curves(const std::vector<RunRecord>& runs, const std::string& metric,
                               const CurveOptions& options);

// Over the seeds that reach x; n says how many. Intervals of shares know of the problems (answers.h): they have
// the ends that the answers nearest to x give, about the value at x.
Interval mean_at(const ArmCurves& curves, double x);
// The curves of the drawn seeds alone: a mean that a run leaves on its way would leap.
ArmCurves drawn_part(const ArmCurves& curves);
// Minus the baseline, over the seeds of both that reach x.
Interval difference_at(const ArmCurves& curves, const ArmCurves& baseline, double x);

}  // namespace attnlab
