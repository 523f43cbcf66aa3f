#include "compare/claims_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "stats/distributions.h"

namespace attnlab {
namespace {

// Of T = (mean - border) / standard error the tails above and below: each by itself, since a tiny one is lost
// in 1 less the other.
struct Tails {
  double above = 0, below = 0;
  double two_sided() const { return 2 * std::min(above, below); }
};
Tails tails_at(const PairedDifference& difference, double factor, double border) {
  const double distance = factor * difference.student.mean - border;
  const double t = distance / (std::abs(factor) * difference.student.standard_error);
  return {.above = student_t_cdf(-t, difference.df), .below = student_t_cdf(t, difference.df)};
}

std::string why_two_sided(ClaimVerdict verdict, const Region& region) {
  const std::string range = fmt::format("{:.4g} to {:.4g}", region.low, region.high);
  if (verdict == ClaimVerdict::holds) return "the interval lies inside " + range;
  return (verdict == ClaimVerdict::does_not_hold ? "the interval lies outside "
                                                 : "the interval reaches over ") +
         range;
}

std::string why_one_sided(ClaimVerdict verdict, const Region& region) {
  const double border = region.border();
  if (verdict == ClaimVerdict::not_shown) return fmt::format("the interval holds {:.4g}", border);
  const bool above = std::isfinite(region.low) == (verdict == ClaimVerdict::holds);
  return fmt::format("the interval lies {} {:.4g}{}", above ? "above" : "below", border,
                     verdict == ClaimVerdict::does_not_hold && border == 0 ? ": the other way round" : "");
}

}  // namespace

bool Region::two_sided() const { return std::isfinite(low) && std::isfinite(high); }
double Region::border() const { return std::isfinite(low) ? low : high; }

Region region_of(const RunsTest& test) {
  const double by = test.by.value_or(0), within = test.within.value_or(0);
  switch (test.expect) {
    case Expectation::lower:
      return {.high = 0 - by};
    case Expectation::higher:
      return {.low = by};
    case Expectation::not_higher:
      return {.high = within};
    case Expectation::not_lower:
      return {.low = -within};
    case Expectation::equal:
      return {.low = -within, .high = within};
    case Expectation::smaller_gain:
      break;
  }
  return {.high = 0};
}

Region region_of(const MeasuredTest& test) {
  return test.expect == Side::above ? Region{.low = test.bound} : Region{.high = test.bound};
}

void rule(ClaimResult& result, const Interval& interval, const Region& region) {
  result.verdict = ClaimVerdict::not_shown;
  result.claimed_low = region.low;
  result.claimed_high = region.high;
  if (!interval.has_ends()) {
    result.why = "there is no interval";
    return;
  }
  if (interval.low > region.low && interval.high < region.high)
    result.verdict = ClaimVerdict::holds;
  else if (interval.low > region.high || interval.high < region.low)
    result.verdict = ClaimVerdict::does_not_hold;
  result.why =
      region.two_sided() ? why_two_sided(result.verdict, region) : why_one_sided(result.verdict, region);
}

double p_at_border(const PairedDifference& difference, double factor, const Region& region) {
  if (!(difference.student.standard_error > 0)) return not_known;
  const auto tails = [&](double border) { return tails_at(difference, factor, border); };
  if (!region.two_sided()) return tails(region.border()).two_sided();
  const double mean = factor * difference.student.mean;
  if (region.low < mean && mean < region.high)
    return std::max(tails(region.low).above, tails(region.high).below);
  return tails(mean <= region.low ? region.low : region.high).two_sided();
}

std::vector<ClaimResult> with_data(std::vector<ClaimResult> parts) {
  const auto lacks = [](const ClaimResult& part) { return part.verdict == ClaimVerdict::no_data; };
  if (std::all_of(parts.begin(), parts.end(), lacks)) {
    parts.resize(std::min<size_t>(parts.size(), 1));
    return parts;
  }
  std::erase_if(parts, lacks);
  return parts;
}

}  // namespace attnlab
