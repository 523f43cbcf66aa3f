#include "stats/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/errors.h"
#include "core/random.h"
#include "stats/distributions.h"

namespace attnlab {
namespace {

std::vector<double> resampled_sums(std::span<const double> values, const BootstrapConfig& config) {
  Random random(config.seed, hash_name("bootstrap"));
  const auto last = static_cast<int64_t>(values.size()) - 1;
  std::vector<double> sums(static_cast<size_t>(config.resamples));
  for (double& sum : sums)
    for (size_t i = 0; i < values.size(); ++i) sum += values[static_cast<size_t>(random.between(0, last))];
  return sums;
}

// Sums of the same numbers in another order differ by rounding: at most n ε Σ|v| <= n² ε max|v|.
double rounding_of_sum(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::abs(value));
  return n * n * std::numeric_limits<double>::epsilon() * largest;
}

// Kept off 0 and 1 by half a resample, so that its quantile is finite.
double bias_correction(std::span<const double> sums, double observed, double rounding) {
  double below = 0;
  for (const double sum : sums)
    below += std::abs(sum - observed) <= rounding ? 0.5 : static_cast<double>(sum < observed);
  const auto n = static_cast<double>(sums.size());
  return normal_quantile(std::clamp(below, 0.5, n - 0.5) / n);
}

double bca_level(double z0, double acceleration, double z) {
  const double shifted = z0 + z, scale = 1 - acceleration * shifted;
  if (scale <= 0) return shifted > 0 ? 1 : 0;
  return normal_cdf(z0 + shifted / scale);
}

Interval between(std::span<const double> sorted_means, const Levels& levels, double mean, int64_t n) {
  return {.value = mean,
          .low = quantile_of_sorted(sorted_means, levels.low),
          .high = quantile_of_sorted(sorted_means, levels.high),
          .n = n};
}

double deviation(std::span<const double> means) {
  return mean_and_error(means).standard_error * std::sqrt(static_cast<double>(means.size()));
}

}  // namespace

double quantile_of_sorted(std::span<const double> sorted, double level) {
  ATTNLAB_CHECK(!sorted.empty() && level >= 0 && level <= 1);
  // Less than any step of the level, more than its rounding: 0.975 · 20000 is to be the value 19500.
  const double rank = std::ceil(level * static_cast<double>(sorted.size()) - 1e-9);
  return sorted[static_cast<size_t>(std::max(rank, 1.0)) - 1];
}

Levels bca_levels(double z0, double acceleration, double confidence) {
  ATTNLAB_CHECK(confidence > 0 && confidence < 1);
  const double z = normal_quantile((1 + confidence) / 2);
  return {.low = bca_level(z0, acceleration, -z), .high = bca_level(z0, acceleration, z)};
}

double jackknife_acceleration(std::span<const double> values) {
  const double mean = mean_and_error(values).mean;
  double squares = 0, cubes = 0;
  for (const double value : values) {
    const double d = value - mean;
    squares += d * d;
    cubes += d * d * d;
  }
  return squares == 0 ? 0 : cubes / (6 * std::pow(squares, 1.5));
}

Bootstrap bootstrap_mean(std::span<const double> values, const BootstrapConfig& config) {
  ATTNLAB_CHECK(config.resamples >= 2 && config.confidence > 0 && config.confidence < 1);
  const double mean = mean_and_error(values).mean;
  const auto n = static_cast<int64_t>(values.size());
  Bootstrap result{.percentile = {.value = mean, .n = n}, .bca = {.value = mean, .n = n}};
  if (n < 2 || std::isnan(mean)) return result;
  std::vector<double> means = resampled_sums(values, config);
  double sum = 0;
  for (const double value : values) sum += value;
  result.z0 = bias_correction(means, sum, rounding_of_sum(values));
  for (double& resampled : means) resampled /= static_cast<double>(n);
  std::sort(means.begin(), means.end());
  const double tail = (1 - config.confidence) / 2;
  result.standard_error = deviation(means);
  result.acceleration = jackknife_acceleration(values);
  result.bca_levels = bca_levels(result.z0, result.acceleration, config.confidence);
  result.percentile = between(means, {.low = tail, .high = 1 - tail}, mean, n);
  result.bca = between(means, result.bca_levels, mean, n);
  return result;
}

Bootstrap bootstrap_difference(std::span<const double> x, std::span<const double> y,
                               const BootstrapConfig& config) {
  ATTNLAB_CHECK(x.size() == y.size());
  std::vector<double> differences(x.size());
  std::transform(x.begin(), x.end(), y.begin(), differences.begin(), std::minus<>());
  return bootstrap_mean(differences, config);
}

}  // namespace attnlab
