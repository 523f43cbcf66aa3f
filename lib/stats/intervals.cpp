#include "stats/intervals.h"

#include <algorithm>
#include <boost/math/special_functions/beta.hpp>
#include <cmath>
#include <functional>
#include <vector>

#include "core/errors.h"
#include "stats/distributions.h"

namespace attnlab {
namespace {

// What a difference of two of these values may be off by.
double rounding_of(std::span<const double> x, std::span<const double> y) {
  double largest = 0;
  for (const auto& values : {x, y})
    for (const double value : values) largest = std::max(largest, std::abs(value));
  return 4 * std::numeric_limits<double>::epsilon() * largest;
}

}  // namespace

// Two passes: the deviations are small against the mean.
MeanError mean_and_error(std::span<const double> values) {
  MeanError result;
  const auto n = static_cast<double>(values.size());
  if (values.empty()) return result;
  double sum = 0;
  for (const double value : values) sum += value;
  result.mean = sum / n;
  if (!std::isfinite(result.mean)) return {};
  // Equal values have no deviation at all, even where their mean is rounded.
  if (std::all_of(values.begin(), values.end(), [&](double value) { return value == values[0]; }))
    result.mean = values[0];
  if (values.size() < 2) return result;
  double squares = 0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  result.standard_error = std::sqrt(squares / (n - 1) / n);
  return result;
}

Interval mean_interval(std::span<const double> values, double confidence) {
  ATTNLAB_CHECK(confidence > 0 && confidence < 1);
  const MeanError found = mean_and_error(values);
  Interval interval{.value = found.mean, .n = static_cast<int64_t>(values.size())};
  if (values.size() < 2 || std::isnan(found.mean) || found.standard_error == 0) return interval;
  const double t = student_t_quantile((1 + confidence) / 2, static_cast<double>(values.size() - 1));
  interval.low = found.mean - t * found.standard_error;
  interval.high = found.mean + t * found.standard_error;
  return interval;
}

Interval bounded_mean_interval(std::span<const double> values, const Bounds& bounds, double confidence) {
  Interval interval{.value = mean_and_error(values).mean, .n = static_cast<int64_t>(values.size())};
  if (values.empty() || std::isnan(interval.value)) return interval;
  std::vector<double> all(values.begin(), values.end());
  for (const double end : {bounds.low, bounds.high})
    all.insert(all.end(), static_cast<size_t>(bounds.added), end);
  const Interval shifted = mean_interval(all, confidence);
  interval.low = std::max(bounds.low, shifted.low);
  interval.high = std::min(bounds.high, shifted.high);
  return interval;
}

PairedDifference paired_difference(std::span<const double> x, std::span<const double> y, double confidence) {
  ATTNLAB_CHECK(x.size() == y.size());
  std::vector<double> differences(x.size());
  std::transform(x.begin(), x.end(), y.begin(), differences.begin(), std::minus<>());
  PairedDifference result{.difference = mean_interval(differences, confidence)};
  const MeanError found = mean_and_error(differences);
  if (std::isnan(found.standard_error)) return result;
  if (found.standard_error <= rounding_of(x, y)) {
    result.difference.low = result.difference.high = not_known;
    return result;
  }
  result.student = found;
  result.df = static_cast<double>(x.size() - 1);
  result.effect_size = found.mean / (found.standard_error * std::sqrt(static_cast<double>(x.size())));
  result.t = found.mean / found.standard_error;
  // Lower tails, which keep their digits where a p is tiny.
  result.p = 2 * student_t_cdf(-std::abs(result.t), result.df);
  result.p_greater = student_t_cdf(-result.t, result.df);
  return result;
}

Interval wilson_interval(int64_t k, int64_t n, double confidence) {
  ATTNLAB_CHECK(0 <= k && k <= n && confidence > 0 && confidence < 1);
  Interval interval{.n = n};
  if (n == 0) return interval;
  const double count = static_cast<double>(n), share = static_cast<double>(k) / count;
  const double z = normal_quantile((1 + confidence) / 2), zz = z * z;
  // Ends: (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n)
  const double centre = share + zz / (2 * count);
  const double spread = z * std::sqrt(share * (1 - share) / count + zz / (4 * count * count));
  interval.value = share;
  interval.low = k == 0 ? 0 : (centre - spread) / (1 + zz / count);
  interval.high = k == n ? 1 : (centre + spread) / (1 + zz / count);
  return interval;
}

Interval clopper_pearson_interval(int64_t k, int64_t n, double confidence) {
  ATTNLAB_CHECK(0 <= k && k <= n && confidence > 0 && confidence < 1);
  Interval interval{.n = n};
  if (n == 0) return interval;
  const auto right = static_cast<double>(k), wrong = static_cast<double>(n - k);
  const double tail = (1 - confidence) / 2;
  // P(K >= k | low) = P(K <= k | high) = α/2, where P(K >= k | p) = I_p(k, n - k + 1).
  interval.value = right / static_cast<double>(n);
  interval.low = k == 0 ? 0 : boost::math::ibeta_inv(right, wrong + 1, tail);
  interval.high = k == n ? 1 : boost::math::ibetac_inv(right + 1, wrong, tail);
  return interval;
}

Verdict verdict_of(const Interval& difference) {
  if (difference.n < 2 || std::isnan(difference.value)) return Verdict::not_enough_runs;
  if (!difference.has_ends())
    return difference.value == 0 ? Verdict::no_difference_shown : Verdict::no_interval;
  if (difference.high < 0) return Verdict::lower;
  if (difference.low > 0) return Verdict::higher;
  return Verdict::no_difference_shown;
}

std::string verdict_words(const Interval& difference, bool higher_is_better) {
  const Verdict verdict = verdict_of(difference);
  std::string words(name_of(verdict));
  if (verdict != Verdict::lower && verdict != Verdict::higher) return words;
  return words + ((verdict == Verdict::higher) == higher_is_better ? ", better" : ", worse");
}

}  // namespace attnlab
