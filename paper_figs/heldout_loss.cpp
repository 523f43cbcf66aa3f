// Held-out loss by step: mean over seeds with its 95 % interval.
#include <algorithm>
#include <cmath>

#include "curves.h"

namespace attnlab {
namespace {

bool has_loss(const EvaluationRow& row) { return row.heldout_tokens > 0 && std::isfinite(row.heldout_loss); }

std::vector<int64_t> evaluated_steps(const RunRecord& run) {
  std::vector<int64_t> steps;
  for (const auto& row : run.evaluations)
    if (has_loss(row)) steps.push_back(row.step);
  return steps;
}

SeedCurves losses_of(const RunCell& cell) {
  const std::vector<int64_t> steps = common_steps(cell, evaluated_steps);
  SeedCurves curves;
  for (const RunRecord* run : cell.runs)
    for (const auto& row : run->evaluations)
      if (std::binary_search(steps.begin(), steps.end(), row.step))
        curves[run->header.seed][static_cast<double>(row.step)] = row.heldout_loss;
  return curves;
}

Spread interval_of(const std::vector<double>& values) {
  const Interval interval = mean_interval(values);
  return {.mean = interval.value, .low = interval.low, .high = interval.high};
}

}  // namespace

Figure heldout_loss(const RunSet& runs) {
  std::vector<std::vector<Curve>> curves;
  for (size_t place = 0; place < runs.points.size(); ++place) {
    const auto cells = runs.cells_at(place);
    std::vector<SeedCurves> values;
    for (const RunCell* cell : cells) values.push_back(losses_of(*cell));
    curves.push_back(make_curves(cells, values, interval_of));
  }
  Figure made{.drawings = draw_curves(runs, curves,
                                      {.name = "heldout_loss",
                                       .title = "Held-out loss",
                                       .y_label = "held-out loss (nats/token)",
                                       .measure = "loss",
                                       .summary = "mean, bars: 95 % interval over seeds (Student's t)",
                                       .ends = Ends::bars})};
  if (made.drawings.empty()) made.missing = "no evaluation has a held-out loss";
  return made;
}

}  // namespace attnlab
