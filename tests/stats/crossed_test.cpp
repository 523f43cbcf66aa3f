#include "stats/crossed.h"

#include "core/random.h"
#include "stats/distributions.h"
#include "support.h"

namespace attnlab {
namespace {

using test::aborts;
using test::check_close;
using test::Values;

// Deviations of seeds, problems and the rest about a mean of 0.
struct Effects {
  int64_t n_seeds, n_problems;
  double seed, problem, rest;

  double variance_of_mean() const {
    const auto S = static_cast<double>(n_seeds), P = static_cast<double>(n_problems);
    return seed * seed / S + problem * problem / P + rest * rest / (S * P);
  }
  // What the pigeonhole bootstrap takes it for, on average. The number of times that a seed is drawn, w, has
  // E w² = 2 - 1/S and E w w' = 1 - 1/S; problems alike.
  double pigeonhole_variance() const {
    const auto S = static_cast<double>(n_seeds), P = static_cast<double>(n_problems);
    return seed * seed / S * (1 - 1 / S) + problem * problem / P * (1 - 1 / P) +
           rest * rest / (S * P) * ((2 - 1 / S) * (2 - 1 / P) - 1);
  }
};

Values normal_values(int64_t n, double deviation, Random& random) {
  Values values;
  for (int64_t i = 0; i < n; ++i)
    values.push_back(deviation * normal_quantile(random.uniform() + 0x1p-54));  // never 0
  return values;
}

CrossedScores simulate(const Effects& effects, uint64_t seed) {
  Random random(seed);
  const Values of_seed = normal_values(effects.n_seeds, effects.seed, random);
  const Values of_problem = normal_values(effects.n_problems, effects.problem, random);
  CrossedScores scores{effects.n_seeds, effects.n_problems, {}};
  scores.values = normal_values(effects.n_seeds * effects.n_problems, effects.rest, random);
  for (size_t i = 0; i < scores.values.size(); ++i)
    scores.values[i] += of_seed[i / of_problem.size()] + of_problem[i % of_problem.size()];
  return scores;
}

struct Coverage {
  double share = 0, mean_variance = 0;
};

template <class Method>
Coverage coverage(const Effects& effects, int64_t experiments, const Method& method) {
  Coverage found;
  for (int64_t i = 0; i < experiments; ++i) {
    const CrossedMean mean = method(simulate(effects, static_cast<uint64_t>(i)));
    found.share += mean.interval.low <= 0 && 0 <= mean.interval.high;
    found.mean_variance += mean.standard_error * mean.standard_error;
  }
  found.share /= static_cast<double>(experiments);
  found.mean_variance /= static_cast<double>(experiments);
  return found;
}

TEST_CASE("a difference of arms keeps seeds and problems apart") {
  const CrossedScores x{2, 3, {1, 1, 0, 1, 0, 0}}, y{2, 3, {0, 1, 1, 0, 0, 0}};
  const CrossedScores difference = crossed_difference(x, y);
  CHECK(difference.values == Values{1, 0, -1, 1, 0, 0});
  CHECK(difference.at(1, 0) == 1);
  CHECK(aborts([&] { crossed_difference(x, {3, 2, y.values}); }));
}

TEST_CASE("where only seeds differ the interval is that of the seeds") {
  const CrossedScores scores{3, 4, {1, 1, 1, 1, 2, 2, 2, 2, 6, 6, 6, 6}};
  const CrossedMean found = crossed_mean(scores);
  const Interval seeds = mean_interval(Values{1, 2, 6});
  check_close(found.df, 2);
  check_close(found.interval.low, seeds.low);
  check_close(found.interval.high, seeds.high);
  CHECK(found.interval.value == 3);
}

TEST_CASE("where only problems differ the interval is that of the problems") {
  const CrossedScores scores{2, 4, {1, 0, 1, 4, 1, 0, 1, 4}};
  const CrossedMean found = crossed_mean(scores);
  const Interval problems = mean_interval(Values{1, 0, 1, 4});
  check_close(found.df, 3);
  check_close(found.interval.low, problems.low);
  check_close(found.interval.high, problems.high);
  CHECK(found.interval.n == 2);
}

TEST_CASE("the analysis of variance of two seeds and two problems by hand") {
  // Means of seeds 2, 4, of problems 2, 4; left over is ±1: MS_seed = MS_problem = MS_rest = 4. Then the
  // variance is 4/4, and df = 16 / (3 · 16).
  const CrossedMean found = crossed_mean({2, 2, {2, 2, 2, 6}});
  check_close(found.standard_error, 1);
  check_close(found.df, 1.0 / 3);
}

TEST_CASE("mean squares of seeds below that of the rest count as much as it") {
  // Both seeds have mean 0 and so have the problems; all is rest: MS_rest = 4.
  const CrossedMean found = crossed_mean({2, 2, {1, -1, -1, 1}});
  check_close(found.standard_error, 1);
}

TEST_CASE("one seed or one problem gives no interval over both") {
  for (const CrossedScores& scores : {CrossedScores{1, 3, {0, 1, 1}}, CrossedScores{3, 1, {0, 1, 1}}}) {
    check_close(crossed_mean(scores).interval.value, 2.0 / 3);
    CHECK_FALSE(crossed_mean(scores).interval.has_ends());
    CHECK_FALSE(crossed_bootstrap(scores).interval.has_ends());
  }
  CHECK(verdict_of(crossed_mean({1, 3, {0, 1, 1}}).interval) == Verdict::not_enough_runs);
  CHECK(verdict_of(crossed_mean({3, 1, {0, 1, 1}}).interval) == Verdict::no_interval);
}

TEST_CASE("scores without spread give no ends, and within bounds ends with a width") {
  const CrossedScores scores{2, 3, Values(6, 0.25)};
  CHECK_FALSE(crossed_mean(scores).interval.has_ends());
  CHECK(std::isnan(crossed_mean(scores).p));
  CHECK(crossed_bootstrap(scores, {.resamples = 20}).interval.half_width() ==
        0);  // what it resamples is all equal
  const CrossedMean within = crossed_mean(scores, share_bounds);
  CHECK(within.interval.value == 0.25);
  CHECK(within.interval.low < 0.25);
  CHECK(within.interval.high > 0.25);
}

TEST_CASE("one problem more with each of two seeds is no certain difference") {
  // The same of 20 problems, or another one with the other seed: means +0.05 and +0.05.
  for (const size_t other : {20, 27}) {
    CrossedScores difference{2, 20, Values(40, 0)};
    difference.values[0] = difference.values[other] = 1;
    const CrossedMean found = crossed_mean(difference, difference_bounds);
    CHECK(found.interval.value == 0.05);
    CHECK(found.interval.low < -0.05);
    CHECK(found.interval.high > 0.1);
    CHECK(found.p > 0.3);
  }
}

TEST_CASE("within bounds the interval is that with a problem at each end added") {
  const CrossedScores scores{2, 2, {1, 0, 0, 0}}, added{2, 4, {1, 0, -1, 1, 0, 0, -1, 1}};
  const CrossedMean found = crossed_mean(scores, difference_bounds), plain = crossed_mean(added);
  CHECK(found.interval.value == 0.25);
  check_close(found.centre, 0.125);
  check_close(found.standard_error, plain.standard_error);
  check_close(found.interval.low, std::max(-1.0, plain.interval.low));
  check_close(found.interval.high, std::min(1.0, plain.interval.high));
  CHECK(found.p == plain.p);
  CHECK_FALSE(crossed_mean({1, 20, Values(20, 1)}, share_bounds).interval.has_ends());
}

TEST_CASE("crossed means refuse shapes and numbers that cannot be") {
  CHECK(aborts([] { crossed_mean({2, 3, Values(5)}); }));
  CHECK(aborts([] { crossed_mean({0, 0, {}}); }));
  CHECK(aborts([] { crossed_mean({1, 2, {1, std::nan("")}}); }));
  CHECK(aborts([] { crossed_mean({1, 2, {1, 2}}, 1); }));
  CHECK(aborts([] { crossed_bootstrap({2, 3, Values(5)}); }));
  CHECK(aborts([] { crossed_bootstrap({1, 2, {1, 2}}, {.resamples = 1}); }));
  CHECK(aborts([] { crossed_bootstrap({1, 2, {1, 2}}, {.confidence = 1}); }));
}

TEST_CASE("resampled means scatter as the pigeonhole's equation says") {
  // Var* = Σ y y' (E[w w'] E[v v'] - 1) / (SP)² over all pairs of cells. A deviation from 20000 draws is off by
  // a share of about 1/200.
  const CrossedScores scores{3, 4, {1, 0, 1, 1, 0, 0, 1, 1, 0, 0, -1, 1}};
  double variance = 0;
  for (int64_t i = 0; i < 12; ++i)
    for (int64_t j = 0; j < 12; ++j) {
      const double same_seed = i / 4 == j / 4, same_problem = i % 4 == j % 4;
      const double together = (1 - 1.0 / 3 + same_seed) * (1 - 1.0 / 4 + same_problem);
      variance += scores.at(i / 4, i % 4) * scores.at(j / 4, j % 4) * (together - 1) / 144;
    }
  const CrossedMean found = crossed_bootstrap(scores, {.seed = 11});
  check_close(found.standard_error, std::sqrt(variance), 4.5 / 200);
  CHECK(found.standard_error == crossed_bootstrap(scores, {.seed = 11}).standard_error);
  CHECK(found.standard_error != crossed_bootstrap(scores, {.seed = 12}).standard_error);
}

// Four deviations of the share of `experiments` that a true share of 95 % would give.
double allowed(int64_t experiments) { return 4 * std::sqrt(0.95 * 0.05 / static_cast<double>(experiments)); }

TEST_CASE("the interval of a crossed mean covers the truth as often as it says") {
  const Effects many{20, 40, 0.3, 0.5, 1};
  const Coverage found = coverage(many, 1000, [](const CrossedScores& s) { return crossed_mean(s); });
  CHECK(std::abs(found.share - 0.95) < allowed(1000));
  // Mean squares 4.6, 6 and 1 with 19, 39 and 741 degrees of freedom, each of variance 2 MS² / df: their
  // sum 9.6 has deviation 2.02.
  check_close(found.mean_variance, many.variance_of_mean(), 4 * 2.02 / 9.6 / std::sqrt(1000.0));
  const Coverage few = coverage({5, 60, 1, 2, 1}, 1000, [](const CrossedScores& s) { return crossed_mean(s); });
  CHECK(std::abs(few.share - 0.95) < allowed(1000));
}

// Two arms whose answers are right with probabilities 1 / (1 + e^-z): z = ability + ease of the problem + luck
// of the seed. Both arms have the same problems, and luck of their own; the one is better by `advantage`.
struct Exam {
  int64_t n_seeds, n_problems;
  double ability, ease, luck, advantage = 0;
};

CrossedScores answers(const Exam& exam, double ability, const Values& ease, Random& random) {
  CrossedScores scores{exam.n_seeds, exam.n_problems, {}};
  for (int64_t seed = 0; seed < exam.n_seeds; ++seed) {
    const double luck = exam.luck * normal_values(1, 1, random)[0];
    for (const double problem : ease)
      scores.values.push_back(random.uniform() < 1 / (1 + std::exp(-ability - problem - luck)));
  }
  return scores;
}

// The share that an arm solves in the long run, over ease and luck: of 4000 quantiles of their sum.
double long_run_share(const Exam& exam, double ability) {
  const double deviation = std::hypot(exam.ease, exam.luck);
  double sum = 0;
  for (int i = 0; i < 4000; ++i)
    sum += 1 / (1 + std::exp(-ability - deviation * normal_quantile((i + 0.5) / 4000)));
  return sum / 4000;
}

Values means_of_seeds(const CrossedScores& scores) {
  Values means(static_cast<size_t>(scores.n_seeds), 0);
  for (size_t i = 0; i < scores.values.size(); ++i)
    means[i / static_cast<size_t>(scores.n_problems)] +=
        scores.values[i] / static_cast<double>(scores.n_problems);
  return means;
}

// How often intervals hold the truth: of the difference, of it by the seeds' means alone, of one arm's share.
struct ExamCoverage {
  double bounded = 0, seeds_alone = 0, share = 0;
};

ExamCoverage exam_coverage(const Exam& exam, int64_t experiments) {
  const double better = exam.ability + exam.advantage, truth = long_run_share(exam, better);
  const double true_difference = truth - long_run_share(exam, exam.ability);
  ExamCoverage found;
  const auto holds = [&](double low, double high, double value) {
    return (low <= value && value <= high) / static_cast<double>(experiments);
  };
  for (int64_t i = 0; i < experiments; ++i) {
    Random random(static_cast<uint64_t>(i));
    const Values ease = normal_values(exam.n_problems, exam.ease, random);
    const CrossedScores x = answers(exam, better, ease, random), y = answers(exam, exam.ability, ease, random);
    const CrossedScores difference = crossed_difference(x, y);
    const Interval bounded = crossed_mean(difference, difference_bounds).interval;
    const Interval share = crossed_mean(x, share_bounds).interval;
    found.bounded += holds(bounded.low, bounded.high, true_difference);
    found.share += holds(share.low, share.high, truth);
    const MeanError seeds = mean_and_error(means_of_seeds(difference));
    const double half = seeds.standard_error * student_t_quantile(0.975, static_cast<double>(exam.n_seeds - 1));
    found.seeds_alone += holds(seeds.mean - half, seeds.mean + half, true_difference);
  }
  return found;
}

TEST_CASE(
    "intervals of answers that are right or wrong cover the truth, with two seeds and few problems, too") {
  // Hard, middling and easy problems; the last ones are solved almost always, where most differences are 0.
  for (const Exam& exam : {Exam{2, 20, 0, 1, 0}, Exam{2, 20, 0, 2, 1, 0.5}, Exam{3, 20, -3, 1, 0.3, 1},
                           Exam{5, 60, 1, 2, 0.5, 0.5}, Exam{2, 20, 3, 1, 0, 1}, Exam{3, 20, 4, 1, 0.3}}) {
    CAPTURE(exam.n_seeds, exam.n_problems, exam.ability, exam.luck);
    const ExamCoverage found = exam_coverage(exam, 1000);
    CHECK(found.bounded > 0.95 - allowed(1000));
    CHECK(found.share > 0.95 - allowed(1000));
  }
  // Seeds alone, without the problems' variance and the added problems, hold the truth far less often.
  CHECK(exam_coverage({2, 20, 3, 1, 0, 1}, 1000).seeds_alone < 0.85);
}

TEST_CASE("the pigeonhole bootstrap is mildly conservative with many seeds") {
  const Effects many{20, 40, 0.3, 0.5, 1};
  const Coverage found =
      coverage(many, 500, [](const CrossedScores& s) { return crossed_bootstrap(s, {.resamples = 500}); });
  const double ratio = many.pigeonhole_variance() / many.variance_of_mean();
  CHECK(ratio > 1.1);
  CHECK(found.share > 0.95 - allowed(500));
  CHECK(found.share < 2 * normal_cdf(1.96 * std::sqrt(ratio)) - 1 + allowed(500));
  // Each estimate is off by a share 2.02 / 9.6 as above, and by √(2 / 500) for its resamples.
  check_close(found.mean_variance, many.pigeonhole_variance(),
              4 * std::hypot(2.02 / 9.6, std::sqrt(2 / 500.0)) / std::sqrt(500.0));
}

TEST_CASE("with three seeds that matter the bootstrap is too narrow and Student's interval is not") {
  const Effects three{3, 60, 1, 0, 0.1};
  const Coverage bootstrap =
      coverage(three, 300, [](const CrossedScores& s) { return crossed_bootstrap(s, {.resamples = 300}); });
  const Coverage student = coverage(three, 300, [](const CrossedScores& s) { return crossed_mean(s); });
  CHECK(bootstrap.share < 0.95 - allowed(300));
  CHECK(std::abs(student.share - 0.95) < allowed(300));
}

}  // namespace
}  // namespace attnlab
