// Two samples that chance may have parted.
#pragma once

#include <span>

#include "stats/permutation.h"

namespace attnlab {

// Two samples: if they are alike, each value had as well stood in the other one. The statistic is the
// difference of their means; two-sided is twice the smaller tail, at most 1, since its distribution need not be
// symmetric. Exact for up to two million splits. Finite values, neither sample empty. For right and wrong
// answers fisher_exact has the same tails, exactly and at once.
PermutationTest two_sample_permutation(std::span<const double> x, std::span<const double> y,
                                       const PermutationConfig& config = {});

}  // namespace attnlab
