// How many tokens bring an arm back: to 95 and 99 % of what the base ends at, against the bytes of a cached
// token as they were measured. Of losses the share is that of the gap which the conversion opened.
#include "stats/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "cache_panels.h"
#include "compare/verdict.h"
#include "final_values.h"

namespace attnlab {
namespace {

constexpr std::array<double, 2> shares{0.95, 0.99};

// Bytes that a sequence keeps, by token; files of older versions tell numbers alone.
double bytes_per_token(const RunCell& cell) {
  const RunHeader& header = cell.runs.front()->header;
  if (header.cache_bytes && header.cache_context.value_or(0) > 0)
    return *header.cache_bytes / static_cast<double>(*header.cache_context);
  return 4 * static_cast<double>(header.cached_numbers_per_token);
}

double tokens_at(const RunRecord& run, int64_t step) {
  double tokens = 0;
  for (const TrainRow& row : run.train)
    if (row.step <= step) tokens = static_cast<double>(row.tokens);
  return tokens;
}

double value_of(const EvaluationRow& row, Metric metric) {
  if (metric == Metric::heldout_loss) return row.heldout_tokens > 0 ? row.heldout_loss : not_known;
  return row.problems > 0 ? row.accuracy : not_known;
}

// Of the seeds that the base has, too.
std::vector<RecoveryCurve> curves_of(const RunCell& cell, const RunCell& base, Metric metric) {
  std::vector<RecoveryCurve> curves;
  for (const RunRecord* run : cell.runs)
    for (const RunRecord* other : base.runs) {
      if (run->header.seed != other->header.seed) continue;
      RecoveryCurve curve{.points = {}, .base = metric_of(*other, metric)};
      for (const EvaluationRow& row : run->evaluations)
        if (const double value = value_of(row, metric); !std::isnan(value))
          curve.points.push_back({.tokens = tokens_at(*run, row.step), .value = value});
      if (!curve.points.empty() && curve.points.front().tokens == 0 && curve.points.size() > 1 &&
          !std::isnan(curve.base))
        curves.push_back(std::move(curve));
    }
  return curves;
}

struct Recovered {
  const RunCell* cell = nullptr;
  Metric metric = Metric::heldout_loss;
  double share = 0;
  RecoveryTime time;
};

std::vector<Recovered> recoveries(const RunSet& runs) {
  std::vector<Recovered> all;
  for (const Metric metric : {Metric::heldout_loss, Metric::accuracy})
    for (const double share : shares)
      for (size_t point = 0; point < runs.points.size(); ++point) {
        const auto cells = runs.cells_at(point);
        for (const RunCell* cell : cells) {
          if (cells.front()->arm != 0 || cell->arm == 0) continue;
          const auto curves = curves_of(*cell, *cells.front(), metric);
          const auto of = metric == Metric::accuracy ? RecoveryOf::value : RecoveryOf::gap;
          if (!curves.empty())
            all.push_back(
                {.cell = cell, .metric = metric, .share = share, .time = time_to_recover(curves, of, share)});
        }
      }
  return all;
}

std::string measure_of(const Recovered& one) {
  return fmt::format("{}, {:.0f} % of the {}", name_of(one.metric), 100 * one.share,
                     one.metric == Metric::accuracy ? "base's" : "gap closed");
}

std::vector<CachePanel> panels_of(const std::vector<Recovered>& all) {
  std::vector<CachePanel> panels;
  for (const Recovered& one : all) {
    if (!std::isfinite(one.time.tokens.value)) continue;
    const std::string measure = measure_of(one);
    if (panels.empty() || panels.back().measure != measure)
      panels.push_back(
          {.measure = measure, .y_label = "tokens (1000s)", .points = {}, .lower_is_better = true});
    Interval tokens = one.time.tokens;
    for (double* end : {&tokens.value, &tokens.low, &tokens.high}) *end /= 1000;
    if (!std::isfinite(tokens.high)) tokens.low = tokens.high = not_known;  // told in the CSV
    panels.back().points.push_back({.arm = one.cell->arm,
                                    .point = one.cell->point,
                                    .seeds = one.time.tokens.n,
                                    .bytes = bytes_per_token(*one.cell),
                                    .value = tokens});
  }
  return panels;
}

std::string finite(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : std::isnan(value) ? "" : "never";
}

std::string csv_of(const RunSet& runs, const std::vector<Recovered>& all) {
  std::string csv = "measure,share,arm,sweep_point,seeds,bytes_per_token,tokens,low,high,reached\n";
  for (const Recovered& one : all)
    csv += fmt::format("{},{},{},{},{},{},{},{},{},{}\n", name_of(one.metric), one.share,
                       csv_text(runs.arms[one.cell->arm]), csv_text(runs.points[one.cell->point]),
                       one.time.tokens.n, bytes_per_token(*one.cell), finite(one.time.tokens.value),
                       finite(one.time.tokens.low), finite(one.time.tokens.high), one.time.reached);
  return csv;
}

}  // namespace

Figure recovery(const RunSet& runs) {
  const std::vector<Recovered> all = recoveries(runs);
  if (all.empty())
    return {.drawings = {},
            .missing = "no arm beside the first was evaluated before its training and after it"};
  const std::vector<CachePanel> panels = panels_of(all);
  const auto missed = std::count_if(all.begin(), all.end(),
                                    [](const Recovered& one) { return !std::isfinite(one.time.tokens.value); });
  if (panels.empty()) return {.drawings = {}, .missing = "no arm came to 95 % of the base"};
  std::vector<const RunCell*> cells;
  for (const RunCell& cell : runs.cells) cells.push_back(&cell);
  Figure made;
  made.drawings.push_back(draw_cache_panels(
      runs, panels, title_of("Tokens until an arm is back", runs),
      fmt::format(
          "{}; linear between evaluations; 95 % intervals over seeds (bootstrap); of losses the gap that the "
          "conversion opened to what {} ends at{}",
          count_seeds(cells), runs.arms.front(),
          missed > 0 ? fmt::format("; {} of {} are never reached", missed, all.size()) : "")));
  made.drawings.back().name = file_name("recovery", runs);
  made.drawings.back().csv = csv_of(runs, all);
  return made;
}

}  // namespace attnlab
