// The paper's figure 4b: perplexity by what the latent caches, for PCA of weights and of activations, with keys
// and values balanced before it and not.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <map>

#include "measured.h"
#include "panels.h"
#include "style.h"

namespace attnlab {
namespace {

struct Kind {
  const char *pca, *balance, *name;
};
constexpr std::array<Kind, 4> kinds{{{"activation", "true", "activations, balanced"},
                                     {"activation", "false", "activations, not balanced"},
                                     {"weight", "true", "weights, balanced"},
                                     {"weight", "false", "weights, not balanced"}}};

bool is_of(const ConversionRow& row, const Kind& kind) {
  return option_of(row.options, "kv_pca") == kind.pca && option_of(row.options, "balance") == kind.balance;
}

double cached_percent(const ConversionRow& row) {
  return 100 * static_cast<double>(row.cached) / static_cast<double>(row.cached_base);
}

std::vector<ConversionRow> compressed(const Measurements& measured) {
  std::vector<ConversionRow> rows;
  for (const auto& row : measured.conversions)
    for (const Kind& kind : kinds)
      if (row.stage == "compress" && row.cached_base > 0 && has_perplexity(row) && is_of(row, kind))
        rows.push_back(row);
  return rows;
}

// By cache; of rows measured twice the first counts.
std::map<double, ConversionRow> curve_of(const std::vector<ConversionRow>& rows, const Kind& kind) {
  std::map<double, ConversionRow> curve;
  for (const auto& row : rows)
    if (is_of(row, kind)) curve.emplace(cached_percent(row), row);
  return curve;
}

// The ranks as tics above; of many every second, third, … is labelled.
std::vector<std::pair<std::string, double>> rank_tics(const std::vector<ConversionRow>& rows) {
  std::map<double, int64_t> ranks;
  for (const auto& row : rows) ranks.emplace(cached_percent(row), row.rank);
  const size_t every = (ranks.size() + 7) / 8;
  std::vector<std::pair<std::string, double>> tics;
  for (const auto& [percent, rank] : ranks)
    tics.emplace_back(tics.size() % every == 0 ? fmt::format("{}", rank) : "", percent);
  return tics;
}

std::string setting_of(const ConversionRow& row) {
  return fmt::format("{}, freqfold {}, collapse {}", row.base, row.freqfold, row.collapse);
}

std::string csv_of(const std::vector<ConversionRow>& rows) {
  std::string csv =
      "base,kv_pca,balance,freqfold,collapse,rank,cached,cached_percent,perplexity,perplexity_base\n";
  for (const Kind& kind : kinds)
    for (const auto& [percent, row] : curve_of(rows, kind))
      csv += fmt::format("{},{},{},{},{},{},{},{},{},{}\n", csv_text(row.base), kind.pca, kind.balance,
                         row.freqfold, row.collapse, row.rank, row.cached, percent, row.perplexity,
                         row.perplexity_base);
  return csv;
}

Panel panel_of(const std::vector<ConversionRow>& rows) {
  Panel panel{.x = empty_axis("cached numbers, of the base's (%)"), .y = empty_axis("perplexity", true)};
  for (size_t i = 0; i < kinds.size(); ++i) {
    PanelSeries series{.name = kinds[i].name, .look = i, .marks = true};
    for (const auto& [percent, row] : curve_of(rows, kinds[i])) {
      series.points.push_back({percent, row.perplexity});
      widen(panel.x, percent);
      widen(panel.y, row.perplexity);
    }
    if (!series.points.empty()) panel.series.push_back(std::move(series));
  }
  const double base = rows.front().perplexity_base, room = 0.04 * (panel.x.high - panel.x.low) + 1;
  widen(panel.y, base);
  panel.x.low -= room;
  panel.x.high += room;
  panel.second_x = {.name = "rank of the latent", .tics = rank_tics(rows)};
  panel.plots.push_back(fmt::format("{} notitle with lines lc rgb '#888888' lw 1 dt solid", base));
  return panel;
}

using Groups = std::vector<std::pair<std::string, std::vector<ConversionRow>>>;

// The setting stands in the name only where the base has several.
std::string name_of(const Groups& groups, const ConversionRow& row) {
  const auto settings = std::count_if(groups.begin(), groups.end(),
                                      [&](const auto& group) { return group.second.front().base == row.base; });
  return drawing_name("rank_perplexity", settings > 1 ? setting_of(row) : row.base, groups.size());
}

}  // namespace

Figure rank_perplexity(const Measurements& measured) {
  Figure figure{.missing = "no conversion was measured after stage compress by its kv_pca and balance"};
  const auto groups = grouped(compressed(measured), setting_of);
  for (const auto& [setting, rows] : groups) {
    const ConversionRow& first = rows.front();
    Drawing& drawing = figure.drawings.emplace_back(draw_panels(
        name_of(groups, rows.front()), "Perplexity by size of the cache",
        fmt::format("{}; held-out text, before any training; {}", short_name(first.base),
                    first.freqfold > 1 ? fmt::format("FreqFold {}", first.freqfold) : "no FreqFold"),
        {panel_of(rows)}, {{"base", "with lines lc rgb '#888888' lw 1 dt solid"}}));
    drawing.csv = csv_of(rows);
  }
  return figure;
}

}  // namespace attnlab
