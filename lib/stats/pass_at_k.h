// pass@k: how often at least one of k sampled solutions is right.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace attnlab {

// The unbiased estimate from c right ones of n samples, 1 - C(n-c, k) / C(n, k) (Chen et al. 2021,
// arXiv 2107.03374, equation 1). 0 <= c <= n, k >= 1. Fewer than k wrong ones give 1; so does k > n, which the
// samples cannot tell: mean_pass_at_k refuses it.
double pass_at_k(int64_t n, int64_t c, int64_t k);

// The mean over problems with n_samples[i] samples, n_right[i] of them right. None if a problem has fewer than
// k samples, or if there is no problem.
std::optional<double> mean_pass_at_k(std::span<const int64_t> n_samples, std::span<const int64_t> n_right,
                                     int64_t k);

}  // namespace attnlab
