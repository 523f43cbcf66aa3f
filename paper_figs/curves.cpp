#include "curves.h"

#include <algorithm>

namespace attnlab {
namespace {

std::optional<Spread> difference_at(double x, const SeedCurves& ours, const SeedCurves& first,
                                    Summary summary) {
  std::vector<double> differences;
  for (const auto& [seed, curve] : ours) {
    const auto other = first.find(seed);
    if (other == first.end() || !other->second.count(x)) continue;
    differences.push_back(curve.at(x) - other->second.at(x));
  }
  if (differences.empty()) return std::nullopt;
  return summary(differences);
}

}  // namespace

std::vector<Curve> make_curves(const std::vector<const RunCell*>& cells, const std::vector<SeedCurves>& values,
                               Summary summary) {
  std::vector<Curve> curves;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (values[i].empty()) continue;
    Curve curve{.arm = cells[i]->arm, .seeds = values[i].size()};
    for (const auto& [x, value] : values[i].begin()->second) {
      std::vector<double> over_seeds;
      for (const auto& [seed, of_seed] : values[i]) over_seeds.push_back(of_seed.at(x));
      CurvePoint point{.x = x, .value = summary(over_seeds)};
      if (i > 0) point.difference = difference_at(x, values[i], values[0], summary);
      curve.points.push_back(point);
    }
    if (!curve.points.empty()) curves.push_back(std::move(curve));
  }
  return curves;
}

}  // namespace attnlab
