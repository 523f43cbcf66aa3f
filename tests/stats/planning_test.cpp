// Numbers of statsmodels, SciPy and simulations: tests/stats/make_planning_numbers.py.
#include "stats/planning.h"

#include "stats/distributions.h"
#include "support.h"

namespace attnlab {
namespace {

using test::aborts;
using test::check_close;

TEST_CASE("the power of the paired t test agrees with statsmodels") {
  check_close(paired_t_power(3, 1.0, 0.05), 0.179255393776552);
  check_close(paired_t_power(5, 2.0, 0.05), 0.90888486810094);
  check_close(paired_t_power(5, -2.0, 0.05), 0.90888486810094);
  check_close(paired_t_power(10, 0.8, 0.05), 0.616232763474406);
  check_close(paired_t_power(34, 0.5, 0.05), 0.807777501279274);
  check_close(paired_t_power(40, 0.5, 0.01), 0.674167976880648);
  check_close(paired_t_power(7, 0, 0.03), 0.03);
  CHECK(paired_t_power(1, 5, 0.05) == 0);
}

TEST_CASE("the seeds that a paired t test needs are the fewest with its power") {
  CHECK(seeds_for_difference(1.0, 0.05, 0.8) == 10);
  CHECK(seeds_for_difference(0.5, 0.05, 0.8) == 34);
  CHECK(seeds_for_difference(2.0, 0.0125, 0.9) == 7);
  CHECK(seeds_for_difference(1e4, 0.05, 0.8) == 2);
  CHECK_FALSE(seeds_for_difference(1e-4, 0.05, 0.8).has_value());
}

TEST_CASE("two one-sided tests agree with statsmodels") {
  const test::Values values{0.011, -0.004, 0.002, 0.007, -0.001};
  const MeanError mean = mean_and_error(values);
  check_close(equivalence_p(mean, 4, 0.01), 0.0303158648313257);
  check_close(equivalence_p(mean, 4, 0.02), 0.00162989807101043);
  CHECK(std::isnan(equivalence_p({.mean = 0, .standard_error = 0}, 4, 1)));
  // p <= α exactly where the interval of confidence 1 - 2α lies inside.
  const Interval interval = mean_interval(values, 1 - 2 * 0.0303158648313257);
  check_close(interval.high, 0.01);
}

TEST_CASE("the power of two one-sided tests agrees with SciPy's integral and a simulation") {
  // Simulated: 0.9499, 0.5425, 0.6964.
  check_close(equivalence_power(5, 0, 2, 0.05), 0.949956852401, 1e-6);
  check_close(equivalence_power(10, 0.2, 1, 0.025), 0.542791311381, 1e-6);
  check_close(equivalence_power(30, 0, 0.5, 0.05), 0.696508614164, 1e-6);
  CHECK(equivalence_power(1, 0, 2, 0.05) == 0);
  const auto seeds = seeds_for_equivalence(0, 0.5, 0.05, 0.7);
  REQUIRE(seeds.has_value());
  CHECK(equivalence_power(*seeds, 0, 0.5, 0.05) >= 0.7);
  CHECK(equivalence_power(*seeds - 1, 0, 0.5, 0.05) < 0.7);
  CHECK_FALSE(seeds_for_equivalence(0.5, 0.5, 0.05, 0.7).has_value());
}

TEST_CASE("the power over seeds and problems lies near what a simulation of the mixed model gives") {
  const auto near = [](double found, double simulated) {
    CAPTURE(found, simulated);
    CHECK(std::abs(found - simulated) < 0.012);  // four errors of the simulation, and 0.002
  };
  near(crossed_power({4e-4, 0.04, 0.09}, {3, 50}, 0.1, 0.05), 0.5173);
  near(crossed_power({1e-4, 0.05, 0.1}, {5, 200}, 0.05, 0.05), 0.6864);
  near(crossed_power({9e-4, 0.02, 0.2}, {2, 100}, 0.2, 0.05), 0.2458);
  near(crossed_power({0, 0.1, 0.1}, {10, 24}, 0.2, 0.01), 0.5628);
  CHECK(crossed_power({1, 1, 1}, {1, 50}, 0.1, 0.05) == 0);
}

TEST_CASE("more replies to a problem shrink what sampling adds, and that alone") {
  const ScoreSpread spread{.seed = 0.01, .problem = 0.2, .rest = 0.1, .sampling = 0.3};
  check_close(variance_of_mean(spread, {4, 10, 1}), 0.01 / 4 + 0.2 / 10 + 0.4 / 40);
  check_close(variance_of_mean(spread, {4, 10, 3}), 0.01 / 4 + 0.2 / 10 + 0.2 / 40);
}

TEST_CASE("seeds cannot make up for problems, nor problems for seeds") {
  const ScoreSpread spread{.seed = 1e-4, .problem = 0.05, .rest = 0.1};
  CHECK(crossed_power(spread, {100000, 20}, 0.05, 0.05) < 0.2);
  CHECK(crossed_power(spread, {3, 100000}, 0.05, 0.05) > 0.9);
  CHECK(crossed_power({0.01, 0.05, 0.1}, {3, 1000000}, 0.05, 0.05) < 0.2);
}

TEST_CASE("where all variance lies in seeds, the powers are those of the tests over seeds alone") {
  const ScoreSpread seeds_alone{.seed = 1, .problem = 0, .rest = 1e-12};
  for (const int64_t seeds : {4, 6, 20}) {
    check_close(crossed_power(seeds_alone, {seeds, 50}, 1.2, 0.05), paired_t_power(seeds, 1.2, 0.05), 5e-3);
    check_close(crossed_equivalence_power(seeds_alone, {seeds, 50}, 1.5, 0.05),
                equivalence_power(seeds, 0, 1.5, 0.05), 5e-3);
  }
  CHECK(crossed_equivalence_power(seeds_alone, {1, 50}, 1.5, 0.05) == 0);
}

TEST_CASE("a design that cannot be planned is refused") {
  CHECK(aborts([] { paired_t_power(5, 1, 0); }));
  CHECK(aborts([] { seeds_for_difference(1, 0.05, 1); }));
  CHECK(aborts([] { equivalence_p({.mean = 0, .standard_error = 1}, 3, 0); }));
  CHECK(aborts([] { equivalence_power(5, 0, 1, 0.5); }));
  CHECK(aborts([] { variance_of_mean({1, 1, 1}, {0, 5}); }));
}

}  // namespace
}  // namespace attnlab
