// Ladders: held-out losses of the same arms at several sizes and token budgets on one law, with a compute
// multiplier for each arm, and what the next size would say (stats/scaling_fit.h).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "cache_panels.h"
#include "compare/verdict.h"
#include "panels.h"
#include "stats/scaling_fit.h"
#include "style.h"

namespace attnlab {
namespace {

// A sweep makes rungs only where each point is another size or budget.
bool is_rung(const std::string& point) {
  if (point.empty()) return true;
  for (size_t at = 0; at < point.size();) {
    const size_t end = std::min(point.find(',', at), point.size());
    const std::string key = point.substr(at, std::min(point.find('=', at), end) - at);
    if (key != "steps" && key != "path" && key != "train.steps" && key != "base.path") return false;
    at = end + 1;
  }
  return true;
}

bool has_all(const RunSet& runs, const std::vector<std::string>& arms) {
  return std::all_of(arms.begin(), arms.end(), [&](const std::string& arm) {
    return std::find(runs.arms.begin(), runs.arms.end(), arm) != runs.arms.end();
  });
}

struct Ladder {
  std::vector<std::string> arms;  // those that all experiments have
  std::vector<ScalingPoint> points;
  const RunSet* look = nullptr;  // the experiment whose arms give colours
};

// Arms of the first experiment that every other one has.
std::vector<std::string> common_arms(const std::vector<RunSet>& experiments) {
  std::vector<std::string> arms;
  for (const auto& arm : experiments.front().arms)
    if (std::all_of(experiments.begin(), experiments.end(),
                    [&](const RunSet& runs) { return has_all(runs, {arm}); }))
      arms.push_back(arm);
  return arms;
}

// A place has the size of the first arm, and the tokens that it trained on, for all arms.
void add_place(Ladder& ladder, const RunSet& runs, size_t point) {
  const auto cells = runs.cells_at(point);
  double size = 0, tokens = 0;
  std::vector<ScalingPoint> found;
  for (const RunCell* cell : cells) {
    const auto arm = std::find(ladder.arms.begin(), ladder.arms.end(), runs.arms[cell->arm]);
    if (arm == ladder.arms.end()) continue;
    for (const RunRecord* run : cell->runs) {
      const double loss = metric_of(*run, Metric::heldout_loss);
      if (!(loss > 0) || run->train.empty()) continue;
      if (arm == ladder.arms.begin()) {
        size = static_cast<double>(run->header.parameters_total);
        tokens = std::max(tokens, static_cast<double>(run->train.back().tokens));
      }
      found.push_back(
          {.arm = static_cast<size_t>(arm - ladder.arms.begin()), .loss = loss, .seed = run->header.seed});
    }
  }
  if (size == 0) return;
  for (ScalingPoint& one : found) {
    one.size = size;
    one.tokens = tokens;
    ladder.points.push_back(one);
  }
}

Ladder ladder_of(const std::vector<RunSet>& experiments) {
  Ladder ladder{.arms = common_arms(experiments), .points = {}, .look = &experiments.front()};
  for (const RunSet& runs : experiments)
    for (size_t point = 0; point < runs.points.size(); ++point)
      if (is_rung(runs.points[point])) add_place(ladder, runs, point);
  return ladder;
}

double compute_of(double size, double tokens) { return 6 * size * tokens; }

// Means over seeds by place.
std::map<std::pair<double, double>, double> means_of(const Ladder& ladder, size_t arm) {
  std::map<std::pair<double, double>, std::vector<double>> losses;
  for (const ScalingPoint& point : ladder.points)
    if (point.arm == arm) losses[{point.size, point.tokens}].push_back(point.loss);
  std::map<std::pair<double, double>, double> means;
  for (const auto& [place, values] : losses) means[place] = mean_and_error(values).mean;
  return means;
}

Panel panel_of(const Ladder& ladder, const ScalingForecast& forecast) {
  Panel panel{.x = empty_axis("training compute, 6 × parameters × tokens (FLOP)", true),
              .y = empty_axis("held-out loss", true),
              .height_in = 1.9};
  for (size_t arm = 0; arm < ladder.arms.size(); ++arm) {
    PanelSeries series{.name = ladder.arms[arm], .look = arm, .marks = true};
    for (const auto& [place, loss] : means_of(ladder, arm)) {
      const double compute = compute_of(place.first, place.second);
      series.points.push_back({compute, loss});
      widen(panel.x, compute);
      widen(panel.y, loss);
    }
    std::sort(series.points.begin(), series.points.end(),
              [](const SeriesPoint& a, const SeriesPoint& b) { return a.x < b.x; });
    const double next = compute_of(forecast.next_size, forecast.next_tokens);
    series.points.push_back({next, forecast.fit.loss(arm, forecast.next_size, forecast.next_tokens)});
    widen(panel.x, 1.2 * next);
    widen(panel.y, series.points.back().y);
    panel.series.push_back(std::move(series));
  }
  panel.x.low /= 1.2;
  return panel;
}

// A law of size and budget says nothing of rungs whose base does not gain by them.
bool base_falls(const Ladder& ladder) {
  const auto means = means_of(ladder, 0);
  const auto by_compute = [](const auto& a, const auto& b) {
    return a.first.first * a.first.second < b.first.first * b.first.second;
  };
  const auto [least, most] = std::minmax_element(means.begin(), means.end(), by_compute);
  return means.size() < 2 || most->second < least->second;
}

std::string law_text(const ScalingFit& fit) {
  if (fit.of_compute) return fmt::format("L = {:.3g} + A (k N D)^-{:.3g}", fit.floor, fit.size_exponent);
  std::string text = fmt::format("L = {:.3g}", fit.floor);
  if (fit.size_exponent > 0) text += fmt::format(" + A (√k N)^-{:.3g}", fit.size_exponent);
  if (fit.token_exponent > 0) text += fmt::format(" + B (√k D)^-{:.3g}", fit.token_exponent);
  return text;
}

double bytes_of_arm(const RunSet& runs, const std::string& arm) {
  for (const RunCell& cell : runs.cells) {
    if (runs.arms[cell.arm] != arm) continue;
    const RunHeader& header = cell.runs.front()->header;
    if (header.cache_bytes && header.cache_context.value_or(0) > 0)
      return *header.cache_bytes / static_cast<double>(*header.cache_context);
    return 4 * static_cast<double>(header.cached_numbers_per_token);
  }
  return 0;
}

std::string csv_of(const Ladder& ladder, const ScalingForecast& forecast) {
  std::string csv =
      "arm,parameters,tokens,seeds,loss,fitted,multiplier,low,high,flips_at_next,bytes_per_token\n";
  for (size_t arm = 0; arm < ladder.arms.size(); ++arm) {
    const Interval& k = forecast.multiplier[arm];
    const std::string tail = fmt::format("{},{},{},{},{}", k.value, k.low, k.high, forecast.flips[arm],
                                         bytes_of_arm(*ladder.look, ladder.arms[arm]));
    for (const auto& [place, loss] : means_of(ladder, arm)) {
      const auto seeds =
          std::count_if(ladder.points.begin(), ladder.points.end(), [&](const ScalingPoint& point) {
            return point.arm == arm && point.size == place.first && point.tokens == place.second;
          });
      csv += fmt::format("{},{},{},{},{},{},{}\n", csv_text(ladder.arms[arm]), place.first, place.second, seeds,
                         loss, forecast.fit.loss(arm, place.first, place.second), tail);
    }
    csv +=
        fmt::format("{},{},{},0,,{},{}\n", csv_text(ladder.arms[arm]), forecast.next_size, forecast.next_tokens,
                    forecast.fit.loss(arm, forecast.next_size, forecast.next_tokens), tail);
  }
  return csv;
}

Drawing multipliers(const Ladder& ladder, const ScalingForecast& forecast) {
  CachePanel panel{
      .measure = "compute multiplier", .y_label = "of " + ladder.arms.front() + "'s compute", .points = {}};
  for (size_t arm = 0; arm < ladder.arms.size(); ++arm) {
    const auto& names = ladder.look->arms;
    const auto place =
        static_cast<size_t>(std::find(names.begin(), names.end(), ladder.arms[arm]) - names.begin());
    Interval k = forecast.multiplier[arm];
    if (!(k.low < k.high)) k.low = k.high = not_known;  // nothing was drawn anew
    panel.points.push_back({.arm = place, .bytes = bytes_of_arm(*ladder.look, ladder.arms[arm]), .value = k});
  }
  std::string flips;
  for (size_t arm = 1; arm < ladder.arms.size(); ++arm)
    flips += fmt::format("{}{} {:.2f}", flips.empty() ? "" : ", ", ladder.arms[arm], forecast.flips[arm]);
  return draw_cache_panels(
      *ladder.look, {panel}, "Compute multipliers by cache",
      "95 % intervals over seeds (bootstrap); chance that an arm changes sides with the base at "
      "the next size: " +
          flips);
}

}  // namespace

Figure ladder(const std::vector<RunSet>& experiments) {
  Figure made;
  made.missing = "a ladder needs the same arms at two or more sizes or token budgets, with a held-out loss";
  if (experiments.empty()) return made;
  const Ladder found = ladder_of(experiments);
  if (found.arms.size() < 2) return made;
  if (!base_falls(found)) {
    made.missing =
        "the first arm's loss does not fall with compute, so rungs differ in more than size and budget (data, "
        "learning rate)";
    return made;
  }
  const auto forecast = forecast_scaling(found.points, found.arms.size());
  if (!forecast) return made;
  made.drawings.push_back(draw_panels(
      "ladder", "Losses at several sizes",
      fmt::format(
          "{}; k: compute multiplier; last point of a line: as fitted, at {:.3g} parameters and {:.3g} tokens; "
          "residuals {:.2g} %",
          law_text(forecast->fit), forecast->next_size, forecast->next_tokens, 100 * forecast->fit.residual),
      {panel_of(found, *forecast)}));
  made.drawings.back().csv = csv_of(found, *forecast);
  made.drawings.push_back(multipliers(found, *forecast));
  made.drawings.back().name = "ladder_multiplier";
  made.drawings.back().csv = made.drawings.front().csv;
  return made;
}

}  // namespace attnlab
