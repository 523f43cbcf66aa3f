// When does a curve come back to what another one ends at?
#pragma once

#include <cstdint>
#include <vector>

#include "stats/bootstrap.h"

namespace attnlab {

// One seed: what was measured along the way, ascending in tokens, and what the base reached with that seed.
struct RecoveryCurve {
  struct Point {
    double tokens = 0, value = 0;
  };
  std::vector<Point> points;
  double base = 0;
};

enum class RecoveryOf {
  value,  // of scores, higher is better: value / base
  gap     // of losses, lower is better: of the gap to the base at the first point, what is closed
};

struct RecoveryTime {
  // Tokens at which the mean curve over seeds, linear between its points, first has the share; infinite: never.
  // The ends are percentiles over seeds drawn anew; without ends where there are fewer than two seeds.
  Interval tokens;
  double reached = 0;  // share of the draws in which it is reached at all
};

// All seeds are measured at the same places (others are left out). No seeds, no points, a gap that was never
// open (the first point is no worse than the base): reached at the first point.
RecoveryTime time_to_recover(const std::vector<RecoveryCurve>& seeds, RecoveryOf of, double share,
                             const BootstrapConfig& config = {.resamples = 2000});

}  // namespace attnlab
