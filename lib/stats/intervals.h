// What a handful of runs says: confidence intervals, paired differences, and the word that follows from them.
#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "core/names.h"

namespace attnlab {

// An estimate between two ends. Ends are NaN where `n` observations give no interval.
struct Interval {
  double value = std::numeric_limits<double>::quiet_NaN();
  double low = std::numeric_limits<double>::quiet_NaN();
  double high = std::numeric_limits<double>::quiet_NaN();
  int64_t n = 0;

  bool has_ends() const { return low <= high; }
  double half_width() const { return (high - low) / 2; }
};

// The quantile of Student's t distribution: P(T <= t) = p with `df` > 0 degrees of freedom, 0 < p < 1.
double student_t_quantile(double p, double df);

// mean ± t_{1-α/2, n-1} · s / √n with the sample deviation s (n - 1). One value: no ends. A value that is not
// finite: nothing is known, all NaN. 0 < confidence < 1.
Interval mean_interval(std::span<const double> values, double confidence = 0.95);

// The mean of x - y with its interval, and the two-sided p of the paired t test that it is 0.
struct PairedDifference {
  Interval difference;
  double p = std::numeric_limits<double>::quiet_NaN();
};
// x and y have equal length. If all differences are equal, p is 0, or 1 where they are all 0.
PairedDifference paired_difference(std::span<const double> x, std::span<const double> y,
                                   double confidence = 0.95);

// The score interval of a proportion k / n (Wilson 1927), without continuity correction; n = 0: no ends.
Interval wilson_interval(int64_t k, int64_t n, double confidence = 0.95);

enum class Verdict { lower, higher, no_difference_shown, not_enough_runs };

template <>
struct EnumNames<Verdict> {
  static constexpr std::array<std::pair<std::string_view, Verdict>, 4> rows{
      {{"lower", Verdict::lower},
       {"higher", Verdict::higher},
       {"no difference shown", Verdict::no_difference_shown},
       {"not enough runs", Verdict::not_enough_runs}}};
};

// The word for a difference: lower if the interval lies below 0, higher if above, none shown if it holds 0.
Verdict verdict_of(const Interval& difference);

}  // namespace attnlab
