// Tests that need no distribution: how often would chance alone have done as much?
#pragma once

#include <cstdint>
#include <span>

namespace attnlab {

struct PermutationConfig {
  int64_t resamples = 100000;  // where not all arrangements can be counted; >= 1
  uint64_t seed = 0;
};

struct PermutationTest {
  double p_two_sided = 1;  // of a statistic as extreme on either side
  double p_greater = 1;    // of a statistic as large or larger
  double p_less = 1;       // as small or smaller
  // All arrangements were counted. Otherwise p is (1 + how many of the random ones) / (1 + resamples), never 0
  // (Phipson, Smyth 2010, arXiv 1603.05766).
  bool exact = true;
};

// Paired differences: if the arms are alike, each difference had as well come with the other sign. The
// statistic is their sum, distributed symmetrically about 0. Exact for up to 40 differences that are not 0, and
// for any number of whole numbers of moderate size; for differences -1, 0, 1 it is McNemar's exact test. Finite
// values. No values: p = 1.
PermutationTest sign_flip_test(std::span<const double> differences, const PermutationConfig& config = {});

// Two samples: if they are alike, each value had as well stood in the other one. The statistic is the
// difference of their means; two-sided is twice the smaller tail, at most 1, since its distribution need not be
// symmetric. Exact for up to two million splits. Finite values, neither sample empty. For right and wrong
// answers fisher_exact has the same tails, exactly and at once.
PermutationTest two_sample_permutation(std::span<const double> x, std::span<const double> y,
                                       const PermutationConfig& config = {});

}  // namespace attnlab
