#include "stats/intervals.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <vector>

#include "core/errors.h"

namespace attnlab {
namespace {

struct Moments {
  double mean = std::numeric_limits<double>::quiet_NaN();
  double standard_error = std::numeric_limits<double>::quiet_NaN();
};

// Two passes: the deviations are small against the mean.
Moments moments(std::span<const double> values) {
  Moments result;
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

}  // namespace

double student_t_quantile(double p, double df) {
  ATTNLAB_CHECK(p > 0 && p < 1 && df > 0);
  return boost::math::quantile(boost::math::students_t(df), p);
}

Interval mean_interval(std::span<const double> values, double confidence) {
  ATTNLAB_CHECK(confidence > 0 && confidence < 1);
  const Moments found = moments(values);
  Interval interval{.value = found.mean, .n = static_cast<int64_t>(values.size())};
  if (values.size() < 2 || std::isnan(found.mean)) return interval;
  const double t = student_t_quantile((1 + confidence) / 2, static_cast<double>(values.size() - 1));
  interval.low = found.mean - t * found.standard_error;
  interval.high = found.mean + t * found.standard_error;
  return interval;
}

PairedDifference paired_difference(std::span<const double> x, std::span<const double> y, double confidence) {
  ATTNLAB_CHECK(x.size() == y.size());
  std::vector<double> differences(x.size());
  std::transform(x.begin(), x.end(), y.begin(), differences.begin(), std::minus<>());
  PairedDifference result{.difference = mean_interval(differences, confidence)};
  const Moments found = moments(differences);
  if (std::isnan(found.standard_error)) return result;
  if (found.standard_error == 0) {
    result.p = found.mean == 0 ? 1 : 0;
    return result;
  }
  const boost::math::students_t distribution(static_cast<double>(x.size() - 1));
  const double t = std::abs(found.mean / found.standard_error);
  result.p = 2 * boost::math::cdf(boost::math::complement(distribution, t));
  return result;
}

Interval wilson_interval(int64_t k, int64_t n, double confidence) {
  ATTNLAB_CHECK(0 <= k && k <= n && confidence > 0 && confidence < 1);
  Interval interval{.n = n};
  if (n == 0) return interval;
  const double count = static_cast<double>(n), share = static_cast<double>(k) / count;
  const double z = boost::math::quantile(boost::math::normal(), (1 + confidence) / 2), zz = z * z;
  // Ends: (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n)
  const double centre = share + zz / (2 * count);
  const double spread = z * std::sqrt(share * (1 - share) / count + zz / (4 * count * count));
  interval.value = share;
  interval.low = k == 0 ? 0 : (centre - spread) / (1 + zz / count);
  interval.high = k == n ? 1 : (centre + spread) / (1 + zz / count);
  return interval;
}

Verdict verdict_of(const Interval& difference) {
  if (difference.n < 2 || !difference.has_ends()) return Verdict::not_enough_runs;
  if (difference.high < 0) return Verdict::lower;
  if (difference.low > 0) return Verdict::higher;
  return Verdict::no_difference_shown;
}

}  // namespace attnlab
