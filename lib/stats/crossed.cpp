#include "stats/crossed.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/errors.h"
#include "core/random.h"
#include "stats/distributions.h"

namespace attnlab {
namespace {

void check(const CrossedScores& scores) {
  ATTNLAB_CHECK(scores.n_seeds >= 1 && scores.n_problems >= 1);
  ATTNLAB_CHECK(static_cast<int64_t>(scores.values.size()) == scores.n_seeds * scores.n_problems);
  ATTNLAB_CHECK(
      std::all_of(scores.values.begin(), scores.values.end(), [](double v) { return std::isfinite(v); }));
}

double mean_of(std::span<const double> values) { return mean_and_error(values).mean; }

struct Means {
  double all = 0;
  std::vector<double> of_seed, of_problem;
};

Means means_of(const CrossedScores& scores) {
  const auto n_seeds = static_cast<size_t>(scores.n_seeds), n_problems = static_cast<size_t>(scores.n_problems);
  Means means{.all = mean_of(scores.values)};
  for (size_t s = 0; s < n_seeds; ++s)
    means.of_seed.push_back(mean_of(std::span(scores.values).subspan(s * n_problems, n_problems)));
  std::vector<double> column(n_seeds);
  for (size_t p = 0; p < n_problems; ++p) {
    for (size_t s = 0; s < n_seeds; ++s) column[s] = scores.values[s * n_problems + p];
    means.of_problem.push_back(mean_of(column));
  }
  return means;
}

double squares_about(std::span<const double> values, double centre) {
  double squares = 0;
  for (const double value : values) squares += (value - centre) * (value - centre);
  return squares;
}

// The same, where those of seeds and problems count at least that of the rest.
struct Variation {
  double seed = 0, problem = 0, rest = 0;
  double df_seed = 0, df_problem = 0, df_rest = 0;
};

Variation variation_of(const MeanSquares& squares) {
  return {.seed = std::max(squares.rest.square, squares.seed.square),
          .problem = std::max(squares.rest.square, squares.problem.square),
          .rest = squares.rest.square,
          .df_seed = squares.seed.df,
          .df_problem = squares.problem.df,
          .df_rest = squares.rest.df};
}

MeanSquares mean_squares_about(const CrossedScores& scores, const Means& means) {
  const auto S = static_cast<double>(scores.n_seeds), P = static_cast<double>(scores.n_problems);
  double rest = 0;
  for (size_t i = 0; i < scores.values.size(); ++i) {
    const size_t s = i / means.of_problem.size(), p = i % means.of_problem.size();
    const double left = scores.values[i] - means.of_seed[s] - means.of_problem[p] + means.all;
    rest += left * left;
  }
  const double df_rest = (S - 1) * (P - 1);
  return {.seed = {P * squares_about(means.of_seed, means.all) / (S - 1), S - 1},
          .problem = {S * squares_about(means.of_problem, means.all) / (P - 1), P - 1},
          .rest = {rest / df_rest, df_rest}};
}

// Satterthwaite: the t distribution whose chi-square has the mean and variance of this sum of mean squares.
double degrees_of_freedom(const Variation& v, double sum) {
  return sum * sum /
         (v.seed * v.seed / v.df_seed + v.problem * v.problem / v.df_problem + v.rest * v.rest / v.df_rest);
}

int64_t draw(int64_t n, Random& random) { return random.between(0, n - 1); }

double resampled_mean(const CrossedScores& scores, std::vector<double>& column_sums, Random& random) {
  std::fill(column_sums.begin(), column_sums.end(), 0.0);
  for (int64_t i = 0; i < scores.n_seeds; ++i) {
    const auto row = scores.values.begin() + draw(scores.n_seeds, random) * scores.n_problems;
    std::transform(column_sums.begin(), column_sums.end(), row, column_sums.begin(), std::plus<>());
  }
  double sum = 0;
  for (int64_t i = 0; i < scores.n_problems; ++i)
    sum += column_sums[static_cast<size_t>(draw(scores.n_problems, random))];
  return sum / static_cast<double>(scores.values.size());
}

CrossedScores with_added_problems(const CrossedScores& scores, const Bounds& bounds) {
  CrossedScores more{
      .n_seeds = scores.n_seeds, .n_problems = scores.n_problems + 2 * bounds.added, .values = {}};
  const auto added = static_cast<size_t>(bounds.added);
  for (int64_t seed = 0; seed < scores.n_seeds; ++seed) {
    const auto row = scores.values.begin() + seed * scores.n_problems;
    more.values.insert(more.values.end(), row, row + scores.n_problems);
    more.values.insert(more.values.end(), added, bounds.low);
    more.values.insert(more.values.end(), added, bounds.high);
  }
  return more;
}

}  // namespace

MeanSquares mean_squares(const CrossedScores& scores) {
  check(scores);
  ATTNLAB_CHECK(scores.n_seeds > 1 && scores.n_problems > 1);
  return mean_squares_about(scores, means_of(scores));
}

CrossedScores crossed_difference(const CrossedScores& x, const CrossedScores& y) {
  check(x);
  check(y);
  ATTNLAB_CHECK(x.n_seeds == y.n_seeds && x.n_problems == y.n_problems);
  CrossedScores difference = x;
  for (size_t i = 0; i < y.values.size(); ++i) difference.values[i] -= y.values[i];
  return difference;
}

CrossedMean crossed_mean(const CrossedScores& scores, double confidence) {
  check(scores);
  ATTNLAB_CHECK(confidence > 0 && confidence < 1);
  const Means means = means_of(scores);
  CrossedMean result{.interval = {.value = means.all, .n = scores.n_seeds}};
  if (scores.n_seeds < 2 || scores.n_problems < 2) return result;
  const Variation variation = variation_of(mean_squares_about(scores, means));
  const double sum = variation.seed + variation.problem - variation.rest;
  result.standard_error = std::sqrt(sum / static_cast<double>(scores.values.size()));
  if (sum == 0) return result;
  result.centre = means.all;
  result.df = degrees_of_freedom(variation, sum);
  const double half = student_t_quantile((1 + confidence) / 2, result.df) * result.standard_error;
  result.interval.low = means.all - half;
  result.interval.high = means.all + half;
  result.p = 2 * student_t_cdf(-std::abs(means.all) / result.standard_error, result.df);
  return result;
}

CrossedMean crossed_mean(const CrossedScores& scores, const Bounds& bounds, double confidence) {
  check(scores);
  CrossedMean result = crossed_mean(with_added_problems(scores, bounds), confidence);
  result.interval.value = mean_of(scores.values);
  if (!result.interval.has_ends()) return result;
  result.interval.low = std::max(bounds.low, result.interval.low);
  result.interval.high = std::min(bounds.high, result.interval.high);
  return result;
}

CrossedMean crossed_bootstrap(const CrossedScores& scores, const BootstrapConfig& config) {
  check(scores);
  ATTNLAB_CHECK(config.resamples >= 2 && config.confidence > 0 && config.confidence < 1);
  CrossedMean result{.interval = {.value = mean_of(scores.values), .n = scores.n_seeds}};
  if (scores.n_seeds < 2 || scores.n_problems < 2) return result;
  Random random(config.seed, hash_name("crossed bootstrap"));
  std::vector<double> column_sums(static_cast<size_t>(scores.n_problems));
  std::vector<double> means(static_cast<size_t>(config.resamples));
  for (double& mean : means) mean = resampled_mean(scores, column_sums, random);
  std::sort(means.begin(), means.end());
  const double tail = (1 - config.confidence) / 2;
  result.standard_error =
      mean_and_error(means).standard_error * std::sqrt(static_cast<double>(config.resamples));
  result.interval.low = quantile_of_sorted(means, tail);
  result.interval.high = quantile_of_sorted(means, 1 - tail);
  return result;
}

}  // namespace attnlab
