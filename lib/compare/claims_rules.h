// From an interval to the verdict on a claim.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "compare/claims.h"
#include "compare/claims_config.h"

namespace attnlab {

// Where a claim says that a number lies: between two borders, which are no part of it.
struct Region {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool two_sided() const;
  // The border of a one-sided region.
  double border() const;
};
// Of arm less against; smaller_gain: of the difference of the gains.
Region region_of(const RunsTest& test);
Region region_of(const MeasuredTest& test);

// Sets verdict, borders and why from an interval with ends; without ends: not shown.
void rule(ClaimResult& result, const Interval& interval, const Region& region);

// Student's p (see ClaimResult::p) of a difference with a standard error, in units of `factor`. NaN without
// one.
double p_at_border(const PairedDifference& difference, double factor, const Region& region);

// Parts with data, or the first one if none has.
std::vector<ClaimResult> with_data(std::vector<ClaimResult> parts);

}  // namespace attnlab
