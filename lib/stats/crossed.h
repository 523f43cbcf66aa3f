// Several seeds on the same problems: scores vary from seed to seed and from problem to problem, and a new
// experiment would have other ones of both.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "stats/bootstrap.h"
#include "stats/intervals.h"

namespace attnlab {

// One number for each seed and problem: right or wrong, or the difference of two arms in that.
struct CrossedScores {
  int64_t n_seeds = 0, n_problems = 0;
  std::vector<double> values;  // [n_seeds, n_problems], finite
  double at(int64_t seed, int64_t problem) const {
    return values[static_cast<size_t>(seed * n_problems + problem)];
  }
};

// x - y: both arms with the same seeds on the same problems. Equal shapes.
CrossedScores crossed_difference(const CrossedScores& x, const CrossedScores& y);

// The analysis of variance of scores with at least two seeds and two problems: mean squares, as they are, and
// their degrees of freedom.
struct MeanSquares {
  struct Of {
    double square = 0, df = 0;
  };
  Of seed, problem, rest;
};
MeanSquares mean_squares(const CrossedScores& scores);

struct CrossedMean {
  Interval interval;  // its n counts seeds; one seed or one problem, and equal scores: no ends
  double standard_error = not_known;
  double centre = not_known;  // crossed_mean only: of its t; differs from the value where problems were added
  double df = not_known;      // crossed_mean only
  double p = not_known;       // the same: two-sided, that the mean is 0
};

// The mean under y = μ + seed + problem + rest, all three random (two-way crossed random effects, one number a
// cell). From the mean squares of the analysis of variance, S seeds and P problems:
//   variance of the mean = (MS_seed + MS_problem - MS_rest) / SP,
// where MS_seed and MS_problem count at least MS_rest, which they exceed on average: no variance is negative.
// The interval is Student's, with Satterthwaite's degrees of freedom (1946, Biometrics Bulletin 2, 110-114).
// Cameron, Gelbach and Miller's variance clustered two ways (2011, JBES 29, 238-249) is near to it where seeds
// and problems are many. Of the two this is the one to report: it knows how little a few seeds say.
CrossedMean crossed_mean(const CrossedScores& scores, double confidence = 0.95);
// The same for scores within bounds, which are the one to take for answers that are right or wrong: the
// interval and p are those of the scores with bounds.added problems at each end, in all seeds alike, cut to the
// bounds; the value is that of the scores. So it has a width whatever the scores are, if there are two seeds.
CrossedMean crossed_mean(const CrossedScores& scores, const Bounds& bounds, double confidence = 0.95);

// The pigeonhole bootstrap (Owen 2007, Annals of Applied Statistics 1, 386-411): seeds and problems are drawn
// with replacement, independently, and the cells where drawn ones meet make the mean; the interval lies between
// its percentiles. Both are drawn over all, not problems within each seed, since the problems of all seeds are
// the same. No bootstrap is exact here (McCullagh 2000, Bernoulli 6, 285-301): the share of the rest counts up
// to three times, that of the seeds (S - 1) / S times, so with few seeds it is too narrow where seeds matter.
CrossedMean crossed_bootstrap(const CrossedScores& scores, const BootstrapConfig& config = {});

}  // namespace attnlab
