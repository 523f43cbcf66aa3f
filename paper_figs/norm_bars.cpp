#include "norm_bars.h"

#include <fmt/format.h>

#include <set>

namespace attnlab {
namespace {

std::string look_of(Shade shade) {
  return fmt::format("with boxes lc rgb '{}' fs solid 1 noborder",
                     shade == Shade::dark ? "#0072B2" : "#F0B95B");
}

}  // namespace

Norms mean_over_layers(const std::vector<NormRow>& rows, const std::string& part, const std::string& stage,
                       int64_t freqfold) {
  std::map<int64_t, std::pair<double, double>> sums;
  for (const auto& row : rows) {
    if (row.part != part || row.stage != stage || row.freqfold != freqfold) continue;
    sums[row.dimension].first += row.norm;
    sums[row.dimension].second += 1;
  }
  Norms means;
  for (const auto& [dimension, sum] : sums) means[dimension] = sum.first / sum.second;
  return means;
}

size_t count_layers(const std::vector<NormRow>& rows) {
  std::set<int64_t> layers;
  for (const auto& row : rows) layers.insert(row.layer);
  return layers.size();
}

KeyEntry bar_key(const std::string& name, Shade shade) { return {name, look_of(shade)}; }

// A little wider than the dimension: renderers leave hairlines between boxes that only touch.
void add_bars(Panel& panel, const std::string& block, const Norms& norms, Shade shade, double shift) {
  if (norms.empty()) return;
  panel.before += "set boxwidth 1.04 absolute\n$" + block + " << EOD\n";
  for (const auto& [dimension, norm] : norms) {
    const double x = static_cast<double>(dimension) + shift;
    panel.before += fmt::format("{} {}\n", x, norm);
    widen(panel.x, x - 0.5);
    widen(panel.x, x + 0.5);
    widen(panel.y, norm);
  }
  panel.before += "EOD\n";
  widen(panel.y, 0);
  panel.plots.push_back("$" + block + " using 1:2 notitle " + look_of(shade));
}

}  // namespace attnlab
