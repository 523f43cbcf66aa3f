#include "stats/mcnemar.h"

#include <algorithm>
#include <cmath>

#include "core/errors.h"
#include "stats/distributions.h"

namespace attnlab {
namespace {

// P(X > root²) for a chi-square variable X with one degree of freedom, the square of a standard normal one.
double chi2_tail(double root) { return 2 * normal_cdf(-std::abs(root)); }

}  // namespace

Discordant count_discordant(std::span<const uint8_t> x, std::span<const uint8_t> y) {
  ATTNLAB_CHECK(x.size() == y.size());
  Discordant counts{.pairs = static_cast<int64_t>(x.size())};
  for (size_t i = 0; i < x.size(); ++i) {
    ATTNLAB_CHECK(x[i] <= 1 && y[i] <= 1);
    counts.only_x += x[i] > y[i];
    counts.only_y += x[i] < y[i];
  }
  return counts;
}

McNemar mcnemar(int64_t b, int64_t c) {
  ATTNLAB_CHECK(b >= 0 && c >= 0);
  const int64_t n = b + c, fewer = std::min(b, c);
  if (n == 0) return {};
  const double tails = 2 * binomial_cdf(fewer, n, 0.5), root = std::sqrt(static_cast<double>(n));
  const auto gap = static_cast<double>(std::abs(b - c));
  return {.exact = std::min(1.0, tails),
          .mid_p = std::min(1.0, tails - binomial_pmf(fewer, n, 0.5)),
          .chi2 = chi2_tail(gap / root),
          .chi2_continuity = chi2_tail((gap - 1) / root)};
}

}  // namespace attnlab
