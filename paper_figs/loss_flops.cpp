// Training loss by the compute that was spent: mean over seeds with the range over seeds, smoothed.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "smoothed_loss.h"

namespace attnlab {
namespace {

// A backward pass costs two forward passes: one for the gradients of the inputs, one for those of the weights.
constexpr double passes = 3;

// Mean over the seeds of `cell`, by step.
std::map<double, double> flops_by_step(const Cell& cell) {
  std::map<double, std::pair<double, double>> sums;
  for (const RunRecord* run : cell.runs)
    for (const TrainRow& row : run->train) {
      auto& [sum, count] = sums[static_cast<double>(row.step)];
      sum += passes * run->header.flops_per_token * static_cast<double>(row.tokens);
      count += 1;
    }
  std::map<double, double> means;
  for (const auto& [step, sum] : sums) means[step] = sum.first / sum.second;
  return means;
}

struct Unit {
  const char* name;
  double flops;
};

// The largest that keeps the end of the axis at 1 or above.
Unit unit_for(double most) {
  constexpr std::array<Unit, 4> units{{{"EFLOP", 1e18}, {"PFLOP", 1e15}, {"TFLOP", 1e12}, {"GFLOP", 1e9}}};
  for (const Unit& unit : units)
    if (most >= unit.flops) return unit;
  return units.back();
}

}  // namespace

Figure loss_flops(const RunSet& runs) {
  SmoothedLoss smooth = smoothed_loss(runs);
  double most = 0;
  for (size_t place = 0; place < runs.points.size(); ++place)
    for (Curve& curve : smooth.curves[place])
      for (const Cell* cell : runs.cells_at(place)) {
        if (cell->arm != curve.arm) continue;
        const auto flops = flops_by_step(*cell);
        for (CurvePoint& point : curve.points) point.x = flops.at(point.x);
        most = std::max(most, curve.points.back().x);
      }
  const Unit unit = unit_for(most);
  Figure made{.drawings = draw_curves(runs, smooth.curves,
                                      {.name = "loss_flops",
                                       .title = "Training loss by compute",
                                       .y_label = "nats per token",
                                       .summary = "mean and range",
                                       .note = smoothing_note(smooth),
                                       .ends = Ends::band,
                                       .settled = 0.05,
                                       .differences = false,
                                       .x_label = fmt::format("training compute, 3 × forward ({})", unit.name),
                                       .x_column = "flops",
                                       .x_unit = unit.flops})};
  if (made.drawings.empty()) made.missing = "no run has a training loss";
  return made;
}

}  // namespace attnlab
