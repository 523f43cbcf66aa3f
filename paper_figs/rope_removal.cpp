// The paper's figure 3b: what it costs to take rotary position from a share of the keys' numbers.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "measured.h"
#include "panels.h"
#include "style.h"

namespace attnlab {
namespace {

// Removed share (in percent) → log-perplexity.
using Removal = std::map<double, double>;

std::map<int64_t, Removal> removals_of(const std::vector<ConversionRow>& rows) {
  std::map<int64_t, Removal> by_freqfold;
  for (const auto& row : rows) {
    const double share = option_number(row.options, "rotary_share");
    by_freqfold[row.freqfold].emplace(100 * (1 - share), std::log(row.perplexity));
  }
  return by_freqfold;
}

// The axis begins below the smallest share that was removed.
double first_share(const std::map<int64_t, Removal>& removals) {
  double least = 100;
  for (const auto& [freqfold, removal] : removals) least = std::min(least, removal.begin()->first);
  return std::max(0.0, 10 * std::floor((least - 1) / 10));
}

std::string csv_of(const std::string& base, const std::map<int64_t, Removal>& removals, double log_base) {
  std::string csv = "base,freqfold,removed_percent,log_perplexity,log_perplexity_base\n";
  for (const auto& [freqfold, removal] : removals)
    for (const auto& [removed, value] : removal)
      csv += fmt::format("{},{},{},{},{}\n", csv_text(base), freqfold, removed, value, log_base);
  return csv;
}

}  // namespace

Figure rope_removal(const Measurements& measured) {
  Figure figure{.missing = "no conversion was measured after stage remove_rope by its rotary_share"};
  std::vector<ConversionRow> rows;
  for (const auto& row : measured.conversions)
    if (row.stage == "remove_rope" && has_perplexity(row) &&
        std::isfinite(option_number(row.options, "rotary_share")))
      rows.push_back(row);
  const auto groups = grouped(rows, [](const ConversionRow& row) { return row.base; });
  for (const auto& [base, of_base] : groups) {
    const auto removals = removals_of(of_base);
    const double log_base = std::log(of_base.front().perplexity_base);
    Panel panel{.x = {.name = "numbers of the keys without rotary (%)", .low = 0, .high = 102},
                .y = empty_axis("log-perplexity (nats)")};
    panel.x.low = first_share(removals);
    widen(panel.y, log_base);
    size_t look = 1;  // black is the base's
    for (const auto& [freqfold, removal] : removals) {
      PanelSeries series{.name = freqfold > 1 ? fmt::format("RoRoPE, FreqFold {}", freqfold) : "RoRoPE",
                         .look = look++,
                         .marks = true};
      for (const auto& [removed, value] : removal) {
        series.points.push_back({removed, value});
        widen(panel.y, value);
      }
      panel.series.push_back(std::move(series));
    }
    const std::string base_look = "with lines lc rgb '#000000' lw 1 dt solid";
    panel.plots.push_back(fmt::format("{} notitle {}", log_base, base_look));
    Drawing& drawing = figure.drawings.emplace_back(
        draw_panels(drawing_name("rope_removal", base, groups.size()), "Removing rotary position",
                    short_name(base) + "; held-out text, before any training", {panel},
                    {{"base, rotary on all numbers", base_look}}));
    drawing.csv = csv_of(base, removals, log_base);
  }
  return figure;
}

}  // namespace attnlab
