#include "stats/power.h"

#include <cmath>
#include <numbers>

#include "core/errors.h"
#include "stats/distributions.h"
#include "stats/mcnemar.h"

namespace attnlab {
namespace {

void check(const PairedDesign& design) {
  ATTNLAB_CHECK(design.n >= 1 && design.discordant_rate > 0 && design.discordant_rate <= 1);
  ATTNLAB_CHECK(design.alpha > 0 && design.alpha < 1);
}

bool rejects(int64_t fewer, int64_t m, double alpha, McNemarForm form) {
  const McNemar p = mcnemar(fewer, m - fewer);
  return (form == McNemarForm::exact ? p.exact : p.mid_p) <= alpha;
}

// The largest of the smaller counts at which m discordant pairs reject, -1 if none. `count`: that of m - 1,
// which rejects here too: among more pairs it is rarer.
int64_t critical_count(int64_t m, int64_t count, double alpha, McNemarForm form) {
  while (2 * (count + 1) < m && rejects(count + 1, m, alpha, form)) ++count;
  return count;
}

}  // namespace

// With δ = √ψ sin θ the equation becomes √n sin θ - z_power cos θ = z_{1-α/2}, a sine that is shifted by φ.
std::optional<double> minimum_detectable_difference(const PairedDesign& design, double power) {
  check(design);
  ATTNLAB_CHECK(power > 0 && power < 1);
  const double z_alpha = normal_quantile(1 - design.alpha / 2), z_power = normal_quantile(power);
  const double root_n = std::sqrt(static_cast<double>(design.n)), root_rate = std::sqrt(design.discordant_rate);
  const double sine = z_alpha / std::hypot(root_n, z_power);
  if (sine > 1) return std::nullopt;
  const double theta = std::atan2(z_power, root_n) + std::asin(sine);
  const double difference = root_rate * std::sin(theta);
  if (theta > std::numbers::pi / 2 || difference > design.discordant_rate) return std::nullopt;
  return difference;
}

double simple_detectable_difference(const PairedDesign& design, double power) {
  check(design);
  ATTNLAB_CHECK(power > 0 && power < 1);
  return (normal_quantile(1 - design.alpha / 2) + normal_quantile(power)) *
         std::sqrt(design.discordant_rate / static_cast<double>(design.n));
}

double mcnemar_power(const PairedDesign& design, double difference, McNemarForm form) {
  check(design);
  ATTNLAB_CHECK(std::abs(difference) <= design.discordant_rate);
  const double share = (design.discordant_rate + difference) / (2 * design.discordant_rate);
  double power = 0;
  int64_t critical = -1;
  for (int64_t m = 1; m <= design.n; ++m) {
    critical = critical_count(m, critical, design.alpha, form);
    if (critical < 0) continue;
    // Either arm has at most `critical` of the m.
    const double rejection = binomial_cdf(critical, m, share) + binomial_cdf(critical, m, 1 - share);
    power += binomial_pmf(m, design.n, design.discordant_rate) * rejection;
  }
  return power;
}

}  // namespace attnlab
