#include "stats/planning.h"

#include <algorithm>
#include <boost/math/distributions/chi_squared.hpp>
#include <boost/math/distributions/non_central_t.hpp>
#include <boost/math/quadrature/gauss_kronrod.hpp>
#include <cmath>

#include "core/errors.h"
#include "stats/distributions.h"

namespace attnlab {
namespace {

// Both tails beyond t_{1-α/2} of a non-central t. Far from 0 the test rejects for certain.
double two_sided_power(double noncentrality, double df, double alpha) {
  if (std::abs(noncentrality) > 37) return 1;
  const double critical = student_t_quantile(1 - alpha / 2, df);
  const boost::math::non_central_t t(df, noncentrality);
  return boost::math::cdf(boost::math::complement(t, critical)) + boost::math::cdf(t, -critical);
}

void check(double alpha, double power) { ATTNLAB_CHECK(alpha > 0 && alpha < 1 && power > 0 && power < 1); }

// Density of u, whose square is a χ² of `df` over df.
double scale_density(double u, double df) {
  return 2 * df * u * boost::math::pdf(boost::math::chi_squared(df), df * u * u);
}

}  // namespace

double paired_t_power(int64_t n, double effect, double alpha) {
  ATTNLAB_CHECK(alpha > 0 && alpha < 1);
  if (n < 2) return 0;
  const auto count = static_cast<double>(n);
  return two_sided_power(std::sqrt(count) * effect, count - 1, alpha);
}

std::optional<int64_t> seeds_for_difference(double effect, double alpha, double power) {
  check(alpha, power);
  return least_count(2, most_seeds, [&](int64_t n) { return paired_t_power(n, effect, alpha) >= power; });
}

double equivalence_p(const MeanError& mean, double df, double margin) {
  ATTNLAB_CHECK(margin > 0);
  if (!(mean.standard_error > 0)) return not_known;
  // That the mean lies above the upper border, and below the lower one.
  return std::max(student_t_cdf((mean.mean - margin) / mean.standard_error, df),
                  student_t_cdf(-(mean.mean + margin) / mean.standard_error, df));
}

double equivalence_power(int64_t n, double effect, double margin, double level) {
  ATTNLAB_CHECK(margin > 0 && level > 0 && level < 0.5);
  if (n < 2) return 0;
  const double df = static_cast<double>(n - 1), root = std::sqrt(static_cast<double>(n));
  const double t = student_t_quantile(1 - level, df), end = root * margin / t;
  const auto inner = [&](double u) {
    const double inside =
        normal_cdf(root * (margin - effect) - t * u) - normal_cdf(t * u - root * (margin + effect));
    return std::max(0.0, inside) * scale_density(u, df);
  };
  // All but nothing of u's distribution lies below 1 + 12 / √(2 df).
  const double last = std::min(end, 1 + 12 / std::sqrt(2 * df));
  return boost::math::quadrature::gauss_kronrod<double, 61>::integrate(inner, 0.0, last, 10, 1e-10);
}

std::optional<int64_t> seeds_for_equivalence(double effect, double margin, double level, double power) {
  check(level, power);
  if (std::abs(effect) >= margin) return std::nullopt;
  return least_count(2, most_seeds,
                     [&](int64_t n) { return equivalence_power(n, effect, margin, level) >= power; });
}

namespace {

struct Squares {
  double seed, problem, rest;
  double sum() const { return seed + problem - rest; }
};

// Expected mean squares.
Squares expected(const ScoreSpread& spread, const CrossedDesign& design) {
  const double rest = spread.rest + spread.sampling / static_cast<double>(design.samples);
  return {.seed = static_cast<double>(design.problems) * spread.seed + rest,
          .problem = static_cast<double>(design.seeds) * spread.problem + rest,
          .rest = rest};
}

}  // namespace

double variance_of_mean(const ScoreSpread& spread, const CrossedDesign& design) {
  ATTNLAB_CHECK(design.seeds >= 1 && design.problems >= 1 && design.samples >= 1);
  return expected(spread, design).sum() / static_cast<double>(design.seeds * design.problems);
}

namespace {

double chi2_mean_square(double level, double df) {
  return boost::math::quantile(boost::math::chi_squared(df), level) / df;
}

// The mean over the distribution of the three mean squares, χ² around what is expected of them, of
// `given(half, se)`: half of crossed_mean's interval at this level, and the true error of the mean, which is
// independent of it. Points that fill the cube evenly (the additive recurrence of the real root of g⁴ = g + 1).
template <class Given>
double over_mean_squares(const ScoreSpread& spread, const CrossedDesign& design, double level, Given given) {
  constexpr int points = 2048;
  constexpr double g = 1.2207440846057596;
  const auto S = static_cast<double>(design.seeds), P = static_cast<double>(design.problems);
  const Squares true_ms = expected(spread, design);
  const double se = std::sqrt(true_ms.sum() / (S * P)), df_rest = (S - 1) * (P - 1);
  const auto fraction = [](double x) { return x - std::floor(x); };
  double sum = 0;
  for (int i = 1; i <= points; ++i) {
    const double rest = true_ms.rest * chi2_mean_square(fraction(0.5 + i / g), df_rest);
    const double seed = std::max(rest, true_ms.seed * chi2_mean_square(fraction(0.5 + i / (g * g)), S - 1));
    const double problem =
        std::max(rest, true_ms.problem * chi2_mean_square(fraction(0.5 + i / (g * g * g)), P - 1));
    const double all = seed + problem - rest;
    const double df = all * all / (seed * seed / (S - 1) + problem * problem / (P - 1) + rest * rest / df_rest);
    sum += given(student_t_quantile(level, df) * std::sqrt(all / (S * P)), se);
  }
  return sum / points;
}

bool can_be_judged(const CrossedDesign& design) { return design.seeds > 1 && design.problems > 1; }

}  // namespace

double crossed_power(const ScoreSpread& spread, const CrossedDesign& design, double difference, double alpha) {
  ATTNLAB_CHECK(alpha > 0 && alpha < 1);
  if (!can_be_judged(design)) return 0;
  if (!(expected(spread, design).sum() > 0)) return difference == 0 ? 0 : 1;
  return over_mean_squares(spread, design, 1 - alpha / 2, [&](double half, double se) {
    return normal_cdf((difference - half) / se) + normal_cdf((-difference - half) / se);
  });
}

double crossed_equivalence_power(const ScoreSpread& spread, const CrossedDesign& design, double margin,
                                 double level) {
  ATTNLAB_CHECK(margin > 0 && level > 0 && level < 0.5);
  if (!can_be_judged(design)) return 0;
  if (!(expected(spread, design).sum() > 0)) return 1;
  return over_mean_squares(spread, design, 1 - level, [&](double half, double se) {
    return half < margin ? 2 * normal_cdf((margin - half) / se) - 1 : 0;
  });
}

}  // namespace attnlab
