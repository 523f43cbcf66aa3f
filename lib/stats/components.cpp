#include "stats/components.h"

#include <algorithm>
#include <boost/math/distributions/chi_squared.hpp>
#include <boost/math/distributions/fisher_f.hpp>

#include "core/errors.h"

namespace attnlab {
namespace {

double chi2_quantile(double level, double df) {
  return boost::math::quantile(boost::math::chi_squared(df), level);
}

struct Tails {
  double low, high;
};

Tails tails_of(double confidence) {
  ATTNLAB_CHECK(confidence > 0 && confidence < 1);
  return {.low = (1 - confidence) / 2, .high = (1 + confidence) / 2};
}

Interval of_square(double mean_square, double df, const Tails& tails, int64_t n) {
  Interval interval{.value = mean_square, .n = n};
  if (mean_square == 0) return interval;
  interval.low = df * mean_square / chi2_quantile(tails.high, df);
  interval.high = df * mean_square / chi2_quantile(tails.low, df);
  return interval;
}

// `cells`: of a level.
Interval above_rest(const MeanSquares::Of& of, const MeanSquares::Of& rest, double cells, const Tails& tails,
                    int64_t n) {
  const boost::math::fisher_f f(of.df, rest.df);
  const auto end = [&](double level) {
    const double excess = of.square - boost::math::quantile(f, level) * rest.square;
    return std::max(0.0, of.df * excess / (cells * chi2_quantile(level, of.df)));
  };
  Interval interval{.value = std::max(0.0, of.square - rest.square) / cells, .n = n};
  if (of.square + rest.square == 0) return interval;
  interval.low = end(tails.high);
  interval.high = end(tails.low);
  return interval;
}

}  // namespace

VarianceComponents variance_components(const CrossedScores& scores, double confidence) {
  const Tails tails = tails_of(confidence);
  VarianceComponents parts{
      .seed = {.n = scores.n_seeds}, .problem = {.n = scores.n_problems}, .rest = {.n = scores.n_seeds}};
  if (scores.n_seeds < 2 || scores.n_problems < 2) return parts;
  const MeanSquares squares = mean_squares(scores);
  parts.seed =
      above_rest(squares.seed, squares.rest, static_cast<double>(scores.n_problems), tails, scores.n_seeds);
  parts.problem =
      above_rest(squares.problem, squares.rest, static_cast<double>(scores.n_seeds), tails, scores.n_problems);
  parts.rest = of_square(squares.rest.square, squares.rest.df, tails, scores.n_seeds);
  return parts;
}

Interval variance_interval(std::span<const double> values, double confidence) {
  const Tails tails = tails_of(confidence);
  const auto n = static_cast<int64_t>(values.size());
  const MeanError found = mean_and_error(values);
  if (n < 2) return {.n = n};
  const double variance = found.standard_error * found.standard_error * static_cast<double>(n);
  return of_square(variance, static_cast<double>(n - 1), tails, n);
}

}  // namespace attnlab
