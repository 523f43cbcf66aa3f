// What a handful of runs says: confidence intervals, paired differences, and the word that follows from them.
#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "core/names.h"

namespace attnlab {

inline constexpr double not_known = std::numeric_limits<double>::quiet_NaN();

// An estimate between two ends. Ends are NaN where `n` observations give no interval.
struct Interval {
  double value = not_known;
  double low = not_known;
  double high = not_known;
  int64_t n = 0;

  bool has_ends() const { return low <= high; }
  double half_width() const { return (high - low) / 2; }
};

// A mean with its standard error s / √n, s the sample deviation (n - 1). No value: both NaN; one: no error. A
// value that is not finite: nothing is known, both NaN.
struct MeanError {
  double mean = not_known;
  double standard_error = not_known;
};
MeanError mean_and_error(std::span<const double> values);

// mean ± t_{1-α/2, n-1} · s / √n. One value: no ends. A value that is not finite: all NaN. 0 < confidence < 1.
Interval mean_interval(std::span<const double> values, double confidence = 0.95);

// The mean of x - y with its interval, and the paired t test that it is 0.
struct PairedDifference {
  Interval difference;
  double p = not_known;          // two-sided
  double p_greater = not_known;  // of a difference as large or larger, if x were not above y
  double t = not_known;          // mean / standard error
  double df = not_known;         // n - 1
};
// x and y have equal length. If all differences are equal, p is 0, or 1 where they are all 0.
PairedDifference paired_difference(std::span<const double> x, std::span<const double> y,
                                   double confidence = 0.95);

// The score interval of a proportion k / n (Wilson 1927), without continuity correction; n = 0: no ends.
Interval wilson_interval(int64_t k, int64_t n, double confidence = 0.95);

// The exact interval of a proportion k / n (Clopper and Pearson 1934): it covers at least as often as it says,
// and so is wider than Wilson's; n = 0: no ends.
Interval clopper_pearson_interval(int64_t k, int64_t n, double confidence = 0.95);

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
