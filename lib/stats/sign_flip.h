// Paired differences whose signs chance may have chosen.
#pragma once

#include <span>

#include "stats/permutation.h"

namespace attnlab {

// Paired differences: if the arms are alike, each difference had as well come with the other sign. The
// statistic is their sum, distributed symmetrically about 0. Exact for up to 40 differences that are not 0, and
// for any number of whole numbers of moderate size; for differences -1, 0, 1 it is McNemar's exact test. Finite
// values. No values: p = 1.
PermutationTest sign_flip_test(std::span<const double> differences, const PermutationConfig& config = {});

}  // namespace attnlab
