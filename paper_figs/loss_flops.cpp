// Training loss by the compute that was spent: mean over seeds with the range over seeds, smoothed.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "core/find_field.h"
#include "smoothed_loss.h"

namespace attnlab {
namespace {

// A backward pass costs two forward passes: one for the gradients of the inputs, one for those of the weights.
constexpr double passes = 3;

// Mean over the seeds of `cell`, by step.
std::map<double, double> flops_by_step(const RunCell& cell) {
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

// The first arm's mean at `x`, between its points.
std::optional<double> value_at(const Curve& curve, double x) {
  const std::vector<CurvePoint>& points = curve.points;
  const auto after = std::find_if(points.begin(), points.end(), [&](const CurvePoint& p) { return p.x >= x; });
  if (after == points.end() || (after == points.begin() && after->x > x)) return std::nullopt;
  if (after->x == x) return after->value.mean;
  const CurvePoint& before = *(after - 1);
  const double share = (x - before.x) / (after->x - before.x);
  return (1 - share) * before.value.mean + share * after->value.mean;
}

// At equal compute arms have seen other batches, whose noise is larger than what the arms differ by.
constexpr double window = 0.1;  // of the axis

// Differences of the means at equal compute, as a moving mean, in place of those at equal steps. They have no
// ends: no batches are shared that seeds could be paired by. Places whose window is cut have none.
void compare_at_equal_compute(std::vector<Curve>& curves) {
  const double half = window / 2 * curves.front().points.back().x;
  for (Curve& curve : curves) {
    std::vector<std::pair<double, double>> raw;
    for (CurvePoint& point : curve.points) {
      point.difference.reset();
      const auto first = value_at(curves.front(), point.x);
      if (&curve != &curves.front() && first) raw.emplace_back(point.x, point.value.mean - *first);
    }
    for (CurvePoint& point : curve.points) {
      if (raw.empty() || point.x - half < raw.front().first || point.x + half > raw.back().first) continue;
      double sum = 0, count = 0;
      for (const auto& [x, difference] : raw)
        if (std::abs(x - point.x) <= half) sum += difference, ++count;
      point.difference = Spread{.mean = sum / count, .low = not_known, .high = not_known};
    }
  }
}

// Whether a run saw texts more than once. Then arms of other cost stand at other places of their passes through
// the data, where the training loss falls anew at each: at equal compute their difference would show the order
// of the data. Files of older versions do not tell how much data there was.
bool repeats_data(const RunSet& runs) {
  return std::any_of(runs.records.begin(), runs.records.end(), [](const RunRecord& run) {
    const auto* tokens = find_field<int64_t>(run.header.provenance, "train_tokens");
    return tokens && !run.train.empty() && run.train.back().tokens > *tokens;
  });
}

void drop_differences(std::vector<Curve>& curves) {
  for (Curve& curve : curves)
    for (CurvePoint& point : curve.points) point.difference.reset();
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

bool has_differences(const std::vector<Curve>& curves) {
  return std::any_of(curves.begin(), curves.end(), [](const Curve& curve) {
    return std::any_of(curve.points.begin(), curve.points.end(),
                       [](const CurvePoint& point) { return point.difference.has_value(); });
  });
}

std::string note_of(const SmoothedLoss& smooth, bool repeats) {
  const std::string note = smoothing_note(smooth);
  if (repeats) return note + (note.empty() ? "" : "; ") + "several passes through the data: no differences";
  if (std::none_of(smooth.curves.begin(), smooth.curves.end(), has_differences)) return note;
  return note + (note.empty() ? "" : "; ") + "below: equal compute, mean over a tenth of the axis";
}

}  // namespace

Figure loss_flops(const RunSet& runs) {
  SmoothedLoss smooth = smoothed_loss(runs);
  const bool repeats = repeats_data(runs);
  double most = 0;
  for (size_t place = 0; place < runs.points.size(); ++place) {
    for (Curve& curve : smooth.curves[place])
      for (const RunCell* cell : runs.cells_at(place)) {
        if (cell->arm != curve.arm) continue;
        const auto flops = flops_by_step(*cell);
        for (CurvePoint& point : curve.points) point.x = flops.at(point.x);
        most = std::max(most, curve.points.back().x);
      }
    if (repeats)
      drop_differences(smooth.curves[place]);
    else if (!smooth.curves[place].empty())
      compare_at_equal_compute(smooth.curves[place]);
  }
  const Unit unit = unit_for(most);
  Figure made{.drawings = draw_curves(runs, smooth.curves,
                                      {.name = "loss_flops",
                                       .title = "Training loss by compute",
                                       .y_label = "training loss (nats/token)",
                                       .measure = "loss",
                                       .summary = "line: mean, band: lowest to highest seed",
                                       .note = note_of(smooth, repeats),
                                       .ends = Ends::band,
                                       .settled = 0.1,
                                       .x_label = fmt::format("training compute, 3 × forward ({})", unit.name),
                                       .x_column = "flops",
                                       .x_unit = unit.flops})};
  if (made.drawings.empty()) made.missing = "no run has a training loss";
  return made;
}

}  // namespace attnlab
