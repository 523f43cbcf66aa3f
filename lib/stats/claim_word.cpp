#include "stats/claim_word.h"

#include "core/errors.h"

namespace attnlab {
namespace {

ClaimWord choose(bool supported, bool refuted) {
  return supported ? ClaimWord::supported : refuted ? ClaimWord::refuted : ClaimWord::inconclusive;
}

}  // namespace

ClaimWord claim_word(const Interval& difference, ClaimDirection claimed, double m) {
  ATTNLAB_CHECK(m > 0);
  if (!difference.has_ends()) return ClaimWord::inconclusive;
  const double low = difference.low, high = difference.high;
  const bool one_border = claimed == ClaimDirection::not_higher || claimed == ClaimDirection::not_lower;
  if (-m < low && high < m && !one_border) return ClaimWord::equivalent;
  switch (claimed) {
    case ClaimDirection::lower:
      return choose(high<0, low> - m);
    case ClaimDirection::higher:
      return choose(low > 0, high < m);
    case ClaimDirection::not_higher:
      return choose(high<m, low> m);
    case ClaimDirection::not_lower:
      return choose(low > -m, high < -m);
    case ClaimDirection::equal:
      break;
  }
  return choose(false, low > m || high < -m);
}

}  // namespace attnlab
