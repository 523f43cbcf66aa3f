// The paper's figure 3a: the norm of each dimension of the keys, head by head in the base, and behind RoRoPE,
// which gathers them in the few dimensions that keep rotary position; FreqFold gathers more.
#include <fmt/format.h>

#include <cmath>
#include <set>

#include "measured.h"
#include "norm_bars.h"

namespace attnlab {
namespace {

// A stage of one panel.
struct KeyStage {
  std::string stage, name;
  int64_t freqfold = 0;
};

std::vector<KeyStage> stages_of(const std::vector<NormRow>& rows) {
  std::set<int64_t> freqfolds;
  std::vector<KeyStage> stages;
  for (const auto& row : rows)
    if (row.stage == "rotated") freqfolds.insert(row.freqfold);
  if (!mean_over_layers(rows, "key", "before").empty()) stages.push_back({"before", "the base, head by head"});
  for (const int64_t freqfold : freqfolds)
    stages.push_back(
        {"rotated", freqfold > 1 ? fmt::format("RoRoPE, FreqFold {}", freqfold) : "RoRoPE", freqfold});
  return stages;
}

// Numbers that keep rotary position in one layer, of `dimensions` in all: what a conversion of the base without
// collapse told. 0: none did.
int64_t rotary_numbers(const Measurements& measured, const std::string& base, size_t dimensions) {
  for (const auto& row : measured.conversions) {
    const double share = option_number(row.options, "rotary_share");
    if (row.base == base && row.stage == "remove_rope" && row.collapse <= 1 && std::isfinite(share))
      return std::llround(share * static_cast<double>(dimensions));
  }
  return 0;
}

Norms between(const Norms& norms, int64_t first, int64_t behind) {
  Norms part;
  for (const auto& [dimension, norm] : norms)
    if (dimension >= first && dimension < behind) part[dimension] = norm;
  return part;
}

// Share of the squared norms that lies in the first dimensions, over all layers.
double share_in_first(const std::vector<NormRow>& rows, const KeyStage& stage, int64_t first) {
  double in_first = 0, all = 0;
  for (const auto& row : rows) {
    if (row.stage != stage.stage || row.freqfold != stage.freqfold) continue;
    all += row.norm * row.norm;
    if (row.dimension < first) in_first += row.norm * row.norm;
  }
  return in_first / all;
}

Panel panel_of(const std::vector<NormRow>& rows, const KeyStage& stage, int64_t rotary, size_t place) {
  const Norms norms = mean_over_layers(rows, "key", stage.stage, stage.freqfold);
  Panel panel{.title = stage.name, .x = empty_axis(""), .y = empty_axis("norm"), .height_in = 0.66};
  const bool gathered = stage.stage == "rotated" && rotary > 0;
  if (gathered)
    panel.title += fmt::format(": {:.1f} % in the rotary part", 100 * share_in_first(rows, stage, rotary));
  const int64_t split = gathered ? rotary : 0, last = static_cast<int64_t>(norms.size());
  add_bars(panel, fmt::format("rotary{}", place), between(norms, 0, split), Shade::dark);
  add_bars(panel, fmt::format("rest{}", place), between(norms, split, last),
           stage.stage == "before" ? Shade::dark : Shade::light);
  return panel;
}

std::string csv_of(const std::string& base, const std::vector<NormRow>& rows,
                   const std::vector<KeyStage>& stages, int64_t rotary) {
  std::string csv = "base,stage,freqfold,dimension,rotary,norm\n";
  for (const auto& stage : stages)
    for (const auto& [dimension, norm] : mean_over_layers(rows, "key", stage.stage, stage.freqfold)) {
      const bool keeps = stage.stage == "before" || dimension < rotary;
      csv += fmt::format("{},{},{},{},{},{}\n", csv_text(base), stage.stage, stage.freqfold, dimension,
                         rotary > 0 ? (keeps ? "1" : "0") : "", norm);
    }
  return csv;
}

// All panels on the same axes; the last one names x.
void share_axes(std::vector<Panel>& panels) {
  PanelAxis x = panels.front().x, y = panels.front().y;
  for (const auto& panel : panels) {
    for (const double value : {panel.x.low, panel.x.high}) widen(x, value);
    for (const double value : {panel.y.low, panel.y.high}) widen(y, value);
  }
  for (auto& panel : panels) panel.x = x, panel.y = y;
  panels.back().x.name = "dimension of the keys, all KV heads";
}

}  // namespace

Figure key_norms(const Measurements& measured) {
  Figure figure{.missing = "no norms of keys were measured before or after a rotation"};
  std::vector<NormRow> keys;
  for (const auto& row : measured.norms)
    if (row.part == "key") keys.push_back(row);
  const auto groups = grouped(keys, [](const NormRow& row) { return row.base; });
  for (const auto& [base, rows] : groups) {
    const std::vector<KeyStage> stages = stages_of(rows);
    if (stages.empty()) continue;
    const size_t dimensions = mean_over_layers(rows, "key", stages.back().stage, stages.back().freqfold).size();
    const int64_t rotary = rotary_numbers(measured, base, dimensions);
    std::vector<Panel> panels;
    for (const auto& stage : stages) panels.push_back(panel_of(rows, stage, rotary, panels.size()));
    share_axes(panels);
    const size_t layers = count_layers(rows);
    std::vector<KeyEntry> key{bar_key("has rotary position", Shade::dark)};
    if (rotary > 0) key.push_back(bar_key("gives it up", Shade::light));
    Drawing& drawing = figure.drawings.emplace_back(draw_panels(
        drawing_name("key_norms", base, groups.size()), "Norms of the keys",
        fmt::format("{}; root mean square over tokens; mean over {} layer{}{}", short_name(base), layers,
                    layers == 1 ? "" : "s", rotary > 0 ? "; %: share of the squared norms" : ""),
        panels, key));
    drawing.csv = csv_of(base, rows, stages, rotary);
  }
  return figure;
}

}  // namespace attnlab
