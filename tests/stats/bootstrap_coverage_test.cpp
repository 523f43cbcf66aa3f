// The bias-corrected bootstrap against what it is by definition, and how often its intervals hold the truth.
// Reference numbers: make_bootstrap_numbers.py.
#include <algorithm>
#include <numeric>

#include "core/random.h"
#include "stats/bootstrap.h"
#include "stats/distributions.h"
#include "support.h"

namespace attnlab {
namespace {

using test::check_close;
using test::Values;

constexpr double kDensityAtZero = 0.398942;  // of the normal distribution

// All nⁿ resampled means, ascending.
Values every_mean(const Values& values) {
  Values sums{0};
  for (size_t i = 0; i < values.size(); ++i) {
    Values longer;
    for (const double sum : sums)
      for (const double value : values) longer.push_back(sum + value);
    sums = std::move(longer);
  }
  for (double& sum : sums) sum /= static_cast<double>(values.size());
  std::sort(sums.begin(), sums.end());
  return sums;
}

// Efron's definition: from the means of all values but one.
double acceleration_of_left_out(const Values& values) {
  Values means;
  for (size_t out = 0; out < values.size(); ++out) {
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i) sum += i == out ? 0 : values[i];
    means.push_back(sum / static_cast<double>(values.size() - 1));
  }
  const double centre = std::accumulate(means.begin(), means.end(), 0.0) / static_cast<double>(means.size());
  double squares = 0, cubes = 0;
  for (const double mean : means) {
    squares += std::pow(centre - mean, 2);
    cubes += std::pow(centre - mean, 3);
  }
  return cubes / (6 * std::pow(squares, 1.5));
}

// What 20,000 draws may be off by, of a share p: 4.5 deviations.
double share_error(double p) { return 4.5 * std::sqrt(p * (1 - p) / 20000); }

void check_end(double found, const Values& exact, double level) {
  const double off = share_error(level);
  CAPTURE(found, level, off);
  CHECK(found >= quantile_of_sorted(exact, std::max(0.0, level - off)));
  CHECK(found <= quantile_of_sorted(exact, std::min(1.0, level + off)));
}

TEST_CASE("bias correction, acceleration and ends are those of all resamples and of the jackknife") {
  for (const Values& values :
       {Values{0.31, 1.73, 2.92, 4.11, 11.37, 5.01}, Values{-9.7, -2.2, -0.4, 0.1, 0.9}}) {
    const Values exact = every_mean(values);
    const Bootstrap found = bootstrap_mean(values);
    check_close(found.acceleration, acceleration_of_left_out(values));
    const auto below = std::lower_bound(exact.begin(), exact.end(), found.bca.value - 1e-12) - exact.begin();
    const auto upto = std::upper_bound(exact.begin(), exact.end(), found.bca.value + 1e-12) - exact.begin();
    const double share = static_cast<double>(below + upto) / 2 / static_cast<double>(exact.size());
    CHECK(std::abs(found.z0 - normal_quantile(share)) < share_error(share) / kDensityAtZero * 1.02);
    check_end(found.percentile.low, exact, 0.025);
    check_end(found.percentile.high, exact, 0.975);
    check_end(found.bca.low, exact, found.bca_levels.low);
    check_end(found.bca.high, exact, found.bca_levels.high);
    const double z = normal_quantile(0.975), a = found.acceleration;
    check_close(found.bca_levels.low, normal_cdf(found.z0 + (found.z0 - z) / (1 - a * (found.z0 - z))));
    check_close(found.bca_levels.high, normal_cdf(found.z0 + (found.z0 + z) / (1 - a * (found.z0 + z))));
  }
}

TEST_CASE("bias-corrected ends are SciPy's") {
  Values values;
  for (int i = 0; i < 20; ++i) values.push_back(-std::log1p(-(i + 0.5) / 20));
  const Bootstrap found = bootstrap_mean(values);
  check_close(found.standard_error, 0.20659, 4.5 / 200);  // √(1 / 2R), R = 20,000
  // An end moves with the share of R means below it, and with z0, which moves its level by 2 φ(z) dz0; both
  // over the density of the means there, about φ(z) / deviation. SciPy's million draws add little.
  const auto allowed = [&](double level) {
    const double z = normal_quantile(level), density = kDensityAtZero * std::exp(-z * z / 2);
    return found.standard_error *
           std::hypot(share_error(level) / density, 2 * share_error(0.5) / kDensityAtZero) * 1.02;
  };
  CAPTURE(found.bca.low, found.bca.high);
  CHECK(std::abs(found.bca.low - 0.65610) < allowed(found.bca_levels.low));
  CHECK(std::abs(found.bca.high - 1.50028) < allowed(found.bca_levels.high));
}

// Shares of experiments in which the interval of the mean of n exponential numbers lies below the truth, 1, or
// above it.
struct Misses {
  double below = 0, above = 0;
  double covered() const { return 1 - below - above; }
  void add(const Interval& interval, int64_t experiments) {
    below += (interval.high < 1) / static_cast<double>(experiments);
    above += (interval.low > 1) / static_cast<double>(experiments);
  }
};
struct BothMisses {
  Misses percentile, bca;
};

BothMisses simulate_misses(int64_t n, int64_t experiments) {
  BothMisses found;
  Random random(9, hash_name("exponential"));
  for (int64_t e = 0; e < experiments; ++e) {
    Values values(static_cast<size_t>(n));
    for (double& value : values) value = -std::log1p(-random.uniform());
    const Bootstrap one = bootstrap_mean(values, {.resamples = 1000, .seed = static_cast<uint64_t>(e)});
    found.percentile.add(one.percentile, experiments);
    found.bca.add(one.bca, experiments);
  }
  return found;
}

// A share of this many experiments beside one of the reference's 20,000: four deviations of their difference.
void check_share(double found, double expected, int64_t experiments) {
  const double each = 1 / static_cast<double>(experiments) + 1 / 20000.0;
  CAPTURE(found, expected);
  CHECK(std::abs(found - expected) < 4 * std::sqrt(expected * (1 - expected) * each));
}

void check_misses(const Misses& found, double below, double above, int64_t experiments) {
  check_share(found.below, below, experiments);
  check_share(found.above, above, experiments);
  check_share(found.covered(), 1 - below - above, experiments);
}

// How far both sides are from the 2.5 % that a 95 % interval promises.
double unevenness(const Misses& misses) {
  return std::abs(misses.below - 0.025) + std::abs(misses.above - 0.025);
}

TEST_CASE(
    "the bias-corrected bootstrap of a skewed mean covers what it should, nearer to 95 % than percentiles") {
  // Neither has 95 % of so few skewed numbers. Percentiles miss by 0.046 and 0.018, BCa by 0.036 and 0.013, and
  // by less on each side.
  const BothMisses few = simulate_misses(20, 4000), more = simulate_misses(50, 2000);
  check_misses(few.percentile, 0.0792, 0.0163, 4000);
  check_misses(few.bca, 0.0565, 0.0296, 4000);
  check_misses(more.percentile, 0.0527, 0.0155, 2000);
  check_misses(more.bca, 0.0370, 0.0262, 2000);
  for (const auto& [percentile, bca] : {few, more}) {
    CAPTURE(percentile.covered(), bca.covered());
    CHECK(std::abs(bca.covered() - 0.95) < std::abs(percentile.covered() - 0.95));
    CHECK(unevenness(bca) < unevenness(percentile));
  }
}

}  // namespace
}  // namespace attnlab
