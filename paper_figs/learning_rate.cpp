// Held-out loss after training against the learning rate, per arm: mean and range over seeds. From sweeps over
// train.lr, and from the runs that choose a rate (train.lr: {sweep: ...}), which lie beside the runs that use
// it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "compare/verdict.h"
#include "core/find_field.h"
#include "core/numbers.h"
#include "curves.h"
#include "results/archive.h"

namespace attnlab {
namespace {
namespace fs = std::filesystem;

// A sweep point without its learning rate, and that rate.
struct RatedPoint {
  std::string rest;
  double rate = 0;
};

std::optional<RatedPoint> rated_point(const std::string& sweep_point) {
  RatedPoint found;
  std::istringstream parts(sweep_point);
  for (std::string part; std::getline(parts, part, ',');) {
    const size_t equals = part.find('=');
    const std::string key = part.substr(0, equals);
    if (key == "train.lr" || key == "lr")
      found.rate = parse_number<double>(part.substr(equals + 1)).value_or(0);
    else
      found.rest += (found.rest.empty() ? "" : ",") + part;
  }
  if (!(found.rate > 0)) return std::nullopt;
  return found;
}

// By sweep point without the rate, arm, rate, seed; a loss that is not finite stands for a run that diverged.
using Losses = std::map<std::string, std::map<size_t, std::map<double, std::map<int64_t, double>>>>;

void add(Losses& losses, const RunRecord& run, size_t arm) {
  const auto point = rated_point(run.header.sweep_point);
  const bool diverged = run.state == RunState::failed && !run.nonfinite.empty();
  if (!point || (run.state != RunState::complete && !diverged)) return;
  if (!diverged && (run.evaluations.empty() || run.evaluations.back().heldout_tokens == 0)) return;
  losses[point->rest][arm][point->rate][run.header.seed] =
      diverged ? not_known : metric_of(run, Metric::heldout_loss);
}

// The runs below lr_selection/ beside the files of a cell.
void add_selection(Losses& losses, const RunCell& cell) {
  std::set<fs::path> files;
  for (const RunRecord* run : cell.runs) {
    const fs::path folder = run->path.parent_path() / "lr_selection";
    for (const auto& file : result_files(folder))
      if (file != folder) files.insert(file);
  }
  for (const fs::path& file : files) add(losses, read_run(file, false), cell.arm);
}

// The rate that a cell's runs took from a selection; 0: none.
double chosen_rate(const RunCell& cell) {
  const FlatFields& config = cell.runs.front()->header.config;
  const auto* value = find_field<double>(config, "train.lr");
  if (!find_field(config, "lr_selection.sweep")) return 0;
  return value ? *value : 0;
}

// Rates at which a seed diverged have no point, and are counted.
Curve curve_of(size_t arm, const std::map<double, std::map<int64_t, double>>& rates, size_t& diverged) {
  Curve curve{.arm = arm};
  for (const auto& [rate, seeds] : rates) {
    std::vector<double> values;
    for (const auto& [seed, loss] : seeds) values.push_back(loss);
    curve.seeds = std::max(curve.seeds, values.size());
    if (std::all_of(values.begin(), values.end(), [](double loss) { return std::isfinite(loss); }))
      curve.points.push_back({.x = rate, .value = spread_of(values)});
    else
      ++diverged;
  }
  return curve;
}

size_t count_rates(const std::vector<Curve>& curves) {
  std::set<double> rates;
  for (const Curve& curve : curves)
    for (const CurvePoint& point : curve.points) rates.insert(point.x);
  return rates.size();
}

void mark_chosen(std::vector<Curve>& curves, const RunSet& runs, const std::string& sweep_point) {
  for (const RunCell& cell : runs.cells)
    for (Curve& curve : curves)
      for (CurvePoint& point : curve.points)
        if (cell.arm == curve.arm && runs.points[cell.point] == sweep_point)
          point.marked = point.marked || point.x == chosen_rate(cell);
}

struct RateCurves {
  RunSet runs;  // without runs; its sweep points are those that were drawn, without their rates
  std::vector<std::vector<Curve>> curves;
  size_t diverged = 0;
};

RateCurves curves_of(const RunSet& runs, const Losses& losses) {
  RateCurves made;
  made.runs.arms = runs.arms;
  made.runs.experiment = runs.experiment;
  made.runs.file_prefix = runs.file_prefix;
  for (const auto& [rest, arms] : losses) {
    std::vector<Curve> curves;
    for (const auto& [arm, rates] : arms) {
      Curve curve = curve_of(arm, rates, made.diverged);
      if (!curve.points.empty()) curves.push_back(std::move(curve));
    }
    if (count_rates(curves) < 2) continue;
    mark_chosen(curves, runs, rest);
    made.runs.points.push_back(rest);
    made.curves.push_back(std::move(curves));
  }
  return made;
}

}  // namespace

Figure learning_rate(const RunSet& runs) {
  Losses losses;
  for (const RunCell& cell : runs.cells) {
    for (const RunRecord* run : cell.runs) add(losses, *run, cell.arm);
    add_selection(losses, cell);
  }
  const RateCurves rates = curves_of(runs, losses);
  if (rates.curves.empty())
    return {.drawings = {}, .missing = "no run has a held-out loss at several learning rates"};
  return {.drawings = draw_curves(rates.runs, rates.curves,
                                  {.name = "learning_rate",
                                   .title = "Learning rate",
                                   .y_label = "held-out loss (nats/token)",
                                   .measure = "loss",
                                   .summary = "line: mean, bars: lowest to highest seed",
                                   .note = rates.diverged ? fmt::format("{} diverged", rates.diverged) : "",
                                   .ends = Ends::bars,
                                   .differences = false,
                                   .x_label = "peak learning rate",
                                   .x_column = "learning_rate",
                                   .log_x = true,
                                   .cut = true,
                                   .mark = "large: chosen rate"}),
          .missing = ""};
}

}  // namespace attnlab
