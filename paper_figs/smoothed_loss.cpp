#include "smoothed_loss.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compare/series.h"

namespace attnlab {
namespace {

std::vector<int64_t> steps_of(const RunRecord& run) {
  std::vector<int64_t> steps;
  for (const auto& row : run.train)
    if (std::isfinite(row.loss)) steps.push_back(row.step);
  return steps;
}

// Centred moving mean over `window` rows. Rows so near an end that their window would be cut are left out.
std::map<double, double> smoothed(const std::map<double, double>& losses, size_t window) {
  const std::vector<std::pair<double, double>> rows(losses.begin(), losses.end());
  const size_t reach = window / 2;
  std::map<double, double> out;
  for (size_t i = reach; i + reach < rows.size(); ++i) {
    double sum = 0;
    for (size_t j = i - reach; j <= i + reach; ++j) sum += rows[j].second;
    out[rows[i].first] = sum / static_cast<double>(window);
  }
  return out;
}

SeedCurves losses_of(const RunCell& cell, size_t window) {
  const std::vector<int64_t> steps = common_steps(cell, steps_of);
  SeedCurves curves;
  if (steps.size() < window) return curves;
  for (const RunRecord* run : cell.runs) {
    std::map<double, double> losses;
    for (const auto& row : run->train)
      if (std::binary_search(steps.begin(), steps.end(), row.step))
        losses[static_cast<double>(row.step)] = row.loss;
    curves[run->header.seed] = smoothed(losses, window);
  }
  return curves;
}

// The same for all curves, so that they compare.
size_t common_window(const RunSet& runs) {
  size_t fewest = 0;
  for (const auto& cell : runs.cells) {
    const size_t rows = common_steps(cell, steps_of).size();
    if (rows > 0) fewest = fewest == 0 ? rows : std::min(fewest, rows);
  }
  return smoothing_rows(fewest);
}

}  // namespace

SmoothedLoss smoothed_loss(const RunSet& runs) {
  SmoothedLoss smooth{.window = common_window(runs)};
  for (size_t place = 0; place < runs.points.size(); ++place) {
    std::vector<SeedCurves> values;
    for (const RunCell* cell : runs.cells_at(place)) values.push_back(losses_of(*cell, smooth.window));
    smooth.curves.push_back(make_curves(runs.cells_at(place), values, spread_of));
  }
  return smooth;
}

std::string smoothing_note(const SmoothedLoss& smooth) {
  return smooth.window > 1 ? fmt::format("moving mean of {} rows", smooth.window) : "";
}

}  // namespace attnlab
