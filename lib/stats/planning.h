// What a comparison of two arms over seeds, or over seeds and problems, can show before it is run.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "stats/crossed.h"

namespace attnlab {

// The probability that a two-sided paired t test of n differences at α rejects, if these are normal with the
// mean `effect` in units of their standard deviation: two tails of the non-central t distribution with n - 1
// degrees of freedom and non-centrality √n · effect. n < 2: 0.
double paired_t_power(int64_t n, double effect, double alpha);

// The least n in first … most for which `enough(n)` holds, if it holds for all that are larger.
template <class Enough>
std::optional<int64_t> least_count(int64_t first, int64_t most, Enough enough) {
  int64_t low = first - 1, high = first;
  while (!enough(high)) {
    if (high >= most) return std::nullopt;
    low = high;
    high = std::min(most, 2 * high);
  }
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (enough(middle) ? high : low) = middle;
  }
  return high;
}

// The smallest n >= 2 with at least that power; none up to `most_seeds`.
inline constexpr int64_t most_seeds = 100000;
std::optional<int64_t> seeds_for_difference(double effect, double alpha, double power);

// Two one-sided tests (Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15, 657-680) that a
// mean with this standard error lies inside ± margin: the larger of the two p. It is at most α where the
// interval of confidence 1 - 2α lies inside. NaN without an error.
double equivalence_p(const MeanError& mean, double df, double margin);

// The probability that both one-sided tests reject at `level`: n normal differences, effect and margin in units
// of their standard deviation σ. With s/σ = u, whose square is χ² over its n - 1 degrees of freedom,
//   ∫ max(0, Φ(√n (margin - effect) - t u) - Φ(t u - √n (margin + effect))) f(u) du,  t = t_{1-level, n-1}.
double equivalence_power(int64_t n, double effect, double margin, double level);
std::optional<int64_t> seeds_for_equivalence(double effect, double margin, double level, double power);

// How one number of a seed and a problem (a difference of two arms, say) varies: from seed to seed, from
// problem to problem, and what is left in a cell, of which sampling a reply anew is a part.
struct ScoreSpread {
  double seed = 0, problem = 0, rest = 0;  // variances; rest: without sampling
  double sampling = 0;                     // of one reply's
};

// S seeds on P problems, each answered k times.
struct CrossedDesign {
  int64_t seeds = 0, problems = 0, samples = 1;
};

// Of the mean under the model of crossed_mean: with r = rest + sampling / k
//   seed / S + problem / P + r / SP.
double variance_of_mean(const ScoreSpread& spread, const CrossedDesign& design);

// The probability that the interval of crossed_mean (without bounds) leaves out 0 if the mean is `difference`:
// that of a normal mean, averaged over the distribution of the mean squares that the interval is made of.
// Agrees with simulations of the model to a hundredth. Fewer than 2 seeds or problems: 0.
double crossed_power(const ScoreSpread& spread, const CrossedDesign& design, double difference, double alpha);

// The probability that the mean's interval of confidence 1 - 2 level lies inside ± margin, if the mean is 0; as
// crossed_power.
double crossed_equivalence_power(const ScoreSpread& spread, const CrossedDesign& design, double margin,
                                 double level);

}  // namespace attnlab
