// The paper's figure 4a: the norm of each dimension of the keys without rotary position (K_nope) and of the
// values, before and after both are balanced for a joint PCA.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "measured.h"
#include "norm_bars.h"

namespace attnlab {
namespace {

constexpr std::array<const char*, 2> stages{"before", "after"};

double root_mean_square(const Norms& norms) {
  double sum = 0;
  for (const auto& [dimension, norm] : norms) sum += norm * norm;
  return std::sqrt(sum / static_cast<double>(norms.size()));
}

Panel panel_of(const std::vector<NormRow>& rows, const std::string& stage) {
  const Norms keys = mean_over_layers(rows, "k_nope", stage), values = mean_over_layers(rows, "v", stage);
  Panel panel{.x = empty_axis(""), .y = empty_axis("norm"), .height_in = 0.95};
  panel.title = fmt::format("{}: root mean squares {:.3g} and {:.3g}", stage, root_mean_square(keys),
                            root_mean_square(values));
  add_bars(panel, "keys_" + stage, keys, Shade::dark);
  add_bars(panel, "values_" + stage, values, Shade::light, static_cast<double>(keys.size()));
  return panel;
}

bool has_stage(const std::vector<NormRow>& rows, const std::string& stage) {
  return !mean_over_layers(rows, "k_nope", stage).empty() && !mean_over_layers(rows, "v", stage).empty();
}

std::string csv_of(const std::string& base, const std::vector<NormRow>& rows) {
  std::string csv = "base,stage,part,dimension,norm\n";
  for (const char* stage : stages)
    for (const char* part : {"k_nope", "v"})
      for (const auto& [dimension, norm] : mean_over_layers(rows, part, stage))
        csv += fmt::format("{},{},{},{},{}\n", csv_text(base), stage, part, dimension, norm);
  return csv;
}

}  // namespace

Figure kv_balance(const Measurements& measured) {
  Figure figure{.missing = "no norms of k_nope and v were measured before and after balancing"};
  std::vector<NormRow> parts;
  for (const auto& row : measured.norms)
    if (row.part == "k_nope" || row.part == "v")
      parts.push_back({.layer = row.layer,
                       .dimension = row.dimension,
                       .freqfold = 0,  // one setting is balanced
                       .norm = row.norm,
                       .base = row.base,
                       .stage = row.stage,
                       .part = row.part});
  const auto groups = grouped(parts, [](const NormRow& row) { return row.base; });
  for (const auto& [base, rows] : groups) {
    std::vector<Panel> panels;
    for (const char* stage : stages)
      if (has_stage(rows, stage)) panels.push_back(panel_of(rows, stage));
    if (panels.size() < stages.size()) continue;
    for (Panel& panel : panels) widen(panel.y, std::max(panels.front().y.high, panels.back().y.high));
    panels.back().x.name = "dimension: K_nope, then V";
    const size_t layers = count_layers(rows);
    Drawing& drawing = figure.drawings.emplace_back(draw_panels(
        drawing_name("kv_balance", base, groups.size()), "Balancing keys and values",
        fmt::format("{}; root mean square over tokens; mean over {} layer{}", short_name(base), layers,
                    layers == 1 ? "" : "s"),
        panels, {bar_key("K_nope, keys without rotary", Shade::dark), bar_key("V, values", Shade::light)}));
    drawing.csv = csv_of(base, rows);
  }
  return figure;
}

}  // namespace attnlab
