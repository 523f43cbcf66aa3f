// The distributions that intervals and tests are made of.
#pragma once

#include <cstdint>

namespace attnlab {

// P(Z <= z) of the standard normal distribution, and its inverse for 0 < p < 1.
double normal_cdf(double z);
double normal_quantile(double p);

// P(T <= t) of Student's t distribution with `df` > 0 degrees of freedom (not necessarily whole), and its
// inverse for 0 < p < 1. `t` may be infinite.
double student_t_cdf(double t, double df);
double student_t_quantile(double p, double df);

// P(K = k) and P(K <= k) for K successes in n >= 0 trials of probability 0 <= p <= 1. A k outside 0 … n is an
// event that never happens: 0, or 1 for the sum from n on.
double binomial_pmf(int64_t k, int64_t n, double p);
double binomial_cdf(int64_t k, int64_t n, double p);

}  // namespace attnlab
