// What a handful of runs says: confidence intervals, paired differences, and the word that follows from them.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>

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

// mean ± t_{1-α/2, n-1} · s / √n. One value: no ends. Equal values: no ends, since they do not tell how far
// others would lie from them. A value that is not finite: all NaN. 0 < confidence < 1.
Interval mean_interval(std::span<const double> values, double confidence = 0.95);

// Numbers that cannot leave a range, and how many values at each end of it are added before their mean gets an
// interval. Without them values that happen to be all at one end, or all 0, would claim certainty.
struct Bounds {
  double low = 0, high = 1;
  int64_t added = 0;
};
// Shares that are right: two right and two wrong ones (Agresti and Coull 1998, The American Statistician 52,
// 119-126). Differences of two shares: one problem that only the one arm solves and one that only the other
// does (Bonett and Price 2012, Journal of Educational and Behavioral Statistics 37, 479-488).
inline constexpr Bounds share_bounds{0, 1, 2}, difference_bounds{-1, 1, 1};

// mean_interval of the values and the added ones, cut to the bounds; `value` is the mean of the values alone,
// and n counts these. No value: no ends.
Interval bounded_mean_interval(std::span<const double> values, const Bounds& bounds, double confidence = 0.95);

// The mean of x - y with its interval, and the paired t test that it is 0.
struct PairedDifference {
  Interval difference;
  double p = not_known;            // two-sided
  double p_greater = not_known;    // of a difference as large or larger, if x were not above y
  double t = not_known;            // mean / standard error
  double df = not_known;           // n - 1
  MeanError student;               // what t is the quotient of
  double effect_size = not_known;  // mean difference / its standard deviation (Cohen's d_z)
};
// x and y have equal length. Differences that are equal up to the rounding of x and y have no spread that
// chance could be measured by: then there are no ends and no p.
PairedDifference paired_difference(std::span<const double> x, std::span<const double> y,
                                   double confidence = 0.95);

// The score interval of a proportion k / n (Wilson 1927), without continuity correction; n = 0: no ends.
Interval wilson_interval(int64_t k, int64_t n, double confidence = 0.95);

// The exact interval of a proportion k / n (Clopper and Pearson 1934): it covers at least as often as it says,
// and so is wider than Wilson's; n = 0: no ends.
Interval clopper_pearson_interval(int64_t k, int64_t n, double confidence = 0.95);

enum class Verdict { lower, higher, no_difference_shown, no_interval, not_enough_runs };

template <>
struct EnumNames<Verdict> {
  static constexpr std::array<std::pair<std::string_view, Verdict>, 5> rows{
      {{"lower", Verdict::lower},
       {"higher", Verdict::higher},
       {"no difference shown", Verdict::no_difference_shown},
       {"no interval", Verdict::no_interval},
       {"not enough runs", Verdict::not_enough_runs}}};
};

// The word for a difference: lower if the interval lies below 0, higher if above, none shown if it holds 0.
// Without ends: none shown if it is 0; no interval if it is another number; not enough runs for fewer than two.
Verdict verdict_of(const Interval& difference);
// The same for a person: "lower, better".
std::string verdict_words(const Interval& difference, bool higher_is_better);

}  // namespace attnlab
