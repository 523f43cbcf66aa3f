// Losses of several arms at several sizes and token budgets, on one law.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "stats/intervals.h"

namespace attnlab {

// A run: parameters, trained tokens, loss. Arm 0 is the base.
struct ScalingPoint {
  size_t arm = 0;
  double size = 0, tokens = 0, loss = 0;
  int64_t seed = 0;
};

// L(arm, N, D) = E + A (√k N)^-α + B (√k D)^-β, with one E, A, B, α, β for all arms and k the arm's compute
// multiplier: it reaches at compute C = 6 N D what the base reaches at k C (Hoffmann et al. 2022, arXiv
// 2203.15556, equation 2, with k added). Where sizes and budgets go hand in hand, or are fewer than the terms
// need, the law is L = E + A (k N D)^-α instead; where one of them never changes its term is left out. With
// fewer than three places E is 0. Least squares of relative residuals.
struct ScalingFit {
  double floor = 0, size_scale = 0, size_exponent = 0, token_scale = 0, token_exponent = 0;
  bool of_compute = false;         // `size` stands for N D
  std::vector<double> multiplier;  // by arm; the first is 1
  double residual = 0;             // root mean square of relative residuals

  double loss(size_t arm, double size, double tokens) const;
};

// None with fewer than two places (sizes and budgets), or where an arm has no point. Positive numbers.
std::optional<ScalingFit> fit_scaling(std::span<const ScalingPoint> points, size_t arms);

struct ScalingForecast {
  ScalingFit fit;
  std::vector<Interval> multiplier;  // by arm; percentiles of the bootstrap
  // The chance that an arm, at the next size, lies on the other side of the base than at the largest place that
  // was measured: the share of bootstrap fits that say so.
  std::vector<double> flips;
  double next_size = 0, next_tokens = 0;  // as far from the largest as that is from the one before
};

// Seeds are drawn anew at each place, the same for all arms, so that what seeds and data add cancels in
// multipliers as it does in differences. Places with one seed stay as they are.
std::optional<ScalingForecast> forecast_scaling(std::span<const ScalingPoint> points, size_t arms,
                                                int64_t resamples = 400, uint64_t seed = 0);

}  // namespace attnlab
