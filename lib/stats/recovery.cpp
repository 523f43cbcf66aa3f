#include "stats/recovery.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/errors.h"
#include "core/random.h"

namespace attnlab {
namespace {

constexpr double never = std::numeric_limits<double>::infinity();

RecoveryCurve mean_of(const std::vector<const RecoveryCurve*>& seeds) {
  RecoveryCurve mean{.points = std::vector<RecoveryCurve::Point>(seeds.front()->points.size())};
  const auto n = static_cast<double>(seeds.size());
  for (const RecoveryCurve* seed : seeds) {
    mean.base += seed->base / n;
    for (size_t i = 0; i < mean.points.size(); ++i) {
      mean.points[i].tokens += seed->points[i].tokens / n;
      mean.points[i].value += seed->points[i].value / n;
    }
  }
  return mean;
}

double share_at(const RecoveryCurve& curve, double value, RecoveryOf of) {
  if (of == RecoveryOf::value) return curve.base > 0 ? value / curve.base : 1;
  const double gap = curve.points.front().value - curve.base;
  return gap > 0 ? (curve.points.front().value - value) / gap : 1;
}

double first_at(const RecoveryCurve& curve, RecoveryOf of, double wanted) {
  double before = 0;
  for (size_t i = 0; i < curve.points.size(); ++i) {
    const double now = share_at(curve, curve.points[i].value, of);
    if (now >= wanted) {
      if (i == 0 || now == before) return curve.points[i].tokens;
      const double part = (wanted - before) / (now - before);
      return curve.points[i - 1].tokens + part * (curve.points[i].tokens - curve.points[i - 1].tokens);
    }
    before = now;
  }
  return never;
}

std::vector<const RecoveryCurve*> alike(const std::vector<RecoveryCurve>& seeds) {
  std::vector<const RecoveryCurve*> usable;
  for (const auto& seed : seeds)
    if (!seed.points.empty() && (usable.empty() || seed.points.size() == usable.front()->points.size()))
      usable.push_back(&seed);
  return usable;
}

}  // namespace

RecoveryTime time_to_recover(const std::vector<RecoveryCurve>& seeds, RecoveryOf of, double share,
                             const BootstrapConfig& config) {
  ATTNLAB_CHECK(share > 0 && config.resamples >= 2 && config.confidence > 0 && config.confidence < 1);
  const auto usable = alike(seeds);
  RecoveryTime time{.tokens = {.n = std::ssize(usable)}};
  if (usable.empty()) return time;
  time.tokens.value = first_at(mean_of(usable), of, share);
  if (usable.size() < 2) {
    time.reached = std::isfinite(time.tokens.value) ? 1 : 0;
    return time;
  }
  Random random(config.seed, hash_name("recovery"));
  std::vector<double> tokens;
  for (int64_t i = 0; i < config.resamples; ++i) {
    std::vector<const RecoveryCurve*> drawn;
    for (size_t s = 0; s < usable.size(); ++s) drawn.push_back(random.pick(usable));
    tokens.push_back(first_at(mean_of(drawn), of, share));
    time.reached += std::isfinite(tokens.back()) ? 1 / static_cast<double>(config.resamples) : 0;
  }
  std::sort(tokens.begin(), tokens.end());
  const double tail = (1 - config.confidence) / 2;
  time.tokens.low = quantile_of_sorted(tokens, tail);
  time.tokens.high = quantile_of_sorted(tokens, 1 - tail);
  return time;
}

}  // namespace attnlab
