// Training loss by step: mean over seeds with the range over seeds, smoothed.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "curves.h"

namespace attnlab {
namespace {

std::vector<int64_t> steps_of(const RunRecord& run) {
  std::vector<int64_t> steps;
  for (const auto& row : run.train)
    if (std::isfinite(row.loss)) steps.push_back(row.step);
  return steps;
}

// An odd number of rows, about a fortieth of all: enough to thin the noise, too few to move a bend.
size_t window_for(size_t rows) { return rows / 80 * 2 + 1; }

// Centred moving mean over `window` rows. Rows so near an end that their window would be cut are left out.
std::map<int64_t, double> smoothed(const std::map<int64_t, double>& losses, size_t window) {
  const std::vector<std::pair<int64_t, double>> rows(losses.begin(), losses.end());
  const size_t reach = window / 2;
  std::map<int64_t, double> out;
  for (size_t i = reach; i + reach < rows.size(); ++i) {
    double sum = 0;
    for (size_t j = i - reach; j <= i + reach; ++j) sum += rows[j].second;
    out[rows[i].first] = sum / static_cast<double>(window);
  }
  return out;
}

SeedCurves losses_of(const Cell& cell, size_t window) {
  const std::vector<int64_t> steps = common_steps(cell, steps_of);
  SeedCurves curves;
  if (steps.size() < window) return curves;
  for (const RunRecord* run : cell.runs) {
    std::map<int64_t, double> losses;
    for (const auto& row : run->train)
      if (std::binary_search(steps.begin(), steps.end(), row.step)) losses[row.step] = row.loss;
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
  return window_for(fewest);
}

}  // namespace

Figure training_loss(const RunSet& runs) {
  const size_t window = common_window(runs);
  std::vector<std::vector<Curve>> curves;
  for (size_t place = 0; place < runs.points.size(); ++place) {
    const auto cells = runs.cells_at(place);
    std::vector<SeedCurves> values;
    for (const Cell* cell : cells) values.push_back(losses_of(*cell, window));
    curves.push_back(make_curves(cells, values, spread_of));
  }
  const CurveFigure figure{.name = "training_loss",
                           .title = "Training loss",
                           .y_label = "nats per token",
                           .summary = "mean and range",
                           .note = window > 1 ? fmt::format("moving mean of {} rows", window) : "",
                           .ends = Ends::band,
                           .settled = 0.05};
  Figure made{.drawings = draw_curves(runs, curves, figure)};
  if (made.drawings.empty()) made.missing = "no run has a training loss";
  return made;
}

}  // namespace attnlab
