// What tests that need no distribution (sign_flip.h, two_sample.h) give: how often would chance alone have
// done as much?
#pragma once

#include <cstdint>

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

}  // namespace attnlab
