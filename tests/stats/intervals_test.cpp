#include "stats/intervals.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "catch.h"

namespace attnlab {
namespace {

using Values = std::vector<double>;

// Relative where the number is not tiny: SciPy's ends come from a mean that cancels.
void check_close(double found, double expected, double tolerance = 1e-9) {
  CAPTURE(found, expected);
  CHECK(std::abs(found - expected) <= tolerance * std::max(std::abs(expected), 1e-6));
}

TEST_CASE("quantiles of Student's t are those of the printed tables") {
  // df = 1 is Cauchy, df = 2 has a closed form: t = (2p - 1) √(2 / (4p(1 - p)))
  check_close(student_t_quantile(0.975, 1), std::tan(std::acos(-1.0) * 0.475));
  check_close(student_t_quantile(0.975, 2), 0.95 * std::sqrt(2 / (4 * 0.975 * 0.025)));
  CHECK(student_t_quantile(0.975, 4) == Approx(2.776445105).epsilon(1e-9));
  CHECK(student_t_quantile(0.5, 3) == Approx(0).margin(1e-12));
  CHECK(student_t_quantile(0.025, 4) == Approx(-2.776445105).epsilon(1e-9));
}

TEST_CASE("the interval of a mean") {
  const Values values{1, 2, 3};  // s = 1, so the half width is 4.302652730 / √3
  const Interval interval = mean_interval(values);
  CHECK(interval.value == 2);
  CHECK(interval.n == 3);
  CHECK(interval.half_width() == Approx(4.302652729749 / std::sqrt(3.0)).epsilon(1e-9));
  CHECK(mean_interval(values, 0.99).half_width() > interval.half_width());
}

TEST_CASE("too few or useless values give no interval") {
  const Interval one = mean_interval(Values{5});
  CHECK(one.value == 5);
  CHECK_FALSE(one.has_ends());
  CHECK(std::isnan(mean_interval(Values{}).value));
  const Interval diverged = mean_interval(Values{1, std::nan(""), 2});
  CHECK(std::isnan(diverged.value));
  CHECK_FALSE(diverged.has_ends());
  CHECK(std::isnan(mean_interval(Values{1, INFINITY}).value));
}

TEST_CASE("equal values give an interval without width") {
  const Interval interval = mean_interval(Values{0.1, 0.1, 0.1});
  CHECK(interval.low == 0.1);
  CHECK(interval.high == 0.1);
  CHECK(paired_difference(Values{1, 2}, Values{1, 2}).p == 1);
  CHECK(paired_difference(Values{2, 3}, Values{1, 2}).p == 0);
}

TEST_CASE("a paired difference removes what both sides share") {
  const Values x{10.1, 20.2, 30.1}, y{10, 20, 30};
  const PairedDifference found = paired_difference(x, y);
  CHECK(found.difference.value == Approx(0.4 / 3));
  CHECK(verdict_of(mean_interval(x)) == Verdict::no_difference_shown);  // spread of the values: wide
  CHECK(found.difference.half_width() < 0.15);
  CHECK(std::isnan(paired_difference(Values{1}, Values{2}).p));
}

TEST_CASE("Wilson's interval at its ends") {
  CHECK(wilson_interval(0, 10).low == 0);
  CHECK(wilson_interval(10, 10).high == 1);
  // z²/(n + z²) with z = 1.959963985
  CHECK(wilson_interval(0, 10).high == Approx(3.841458821 / 13.841458821).epsilon(1e-9));
  CHECK_FALSE(wilson_interval(0, 0).has_ends());
}

TEST_CASE("the word follows from the interval") {
  CHECK(verdict_of({-1, -2, -0.5, 3}) == Verdict::lower);
  CHECK(verdict_of({1, 0.5, 2, 3}) == Verdict::higher);
  CHECK(verdict_of({1, -0.5, 2, 3}) == Verdict::no_difference_shown);
  CHECK(verdict_of({0, 0, 0, 3}) == Verdict::no_difference_shown);
  CHECK(verdict_of({-1, -2, 0, 3}) == Verdict::no_difference_shown);
  CHECK(verdict_of(mean_interval(Values{3})) == Verdict::not_enough_runs);
  CHECK(verdict_of(mean_interval(Values{3, NAN})) == Verdict::not_enough_runs);
  CHECK(name_of(Verdict::no_difference_shown) == "no difference shown");
}

TEST_CASE("intervals agree with SciPy and statsmodels") {
  const auto path = test::shared_dir() / "fixtures" / "eval" / "stats_vectors.json";
  if (!std::filesystem::exists(path)) SKIP_TEST("no stats_vectors.json");
  const auto vectors = nlohmann::json::parse(std::ifstream(path));
  REQUIRE(vectors["paired_t"].size() >= 6);
  for (const auto& row : vectors["paired_t"]) {
    const auto x = row["x"].get<Values>(), y = row["y"].get<Values>();
    check_close(paired_difference(x, y).p, row["p_two_sided"]);
    for (const auto& [key, confidence] : {std::pair{"ci90", 0.9}, {"ci95", 0.95}, {"ci99", 0.99}}) {
      const Interval found = paired_difference(x, y, confidence).difference;
      check_close(found.low, row[key][0]);
      check_close(found.high, row[key][1]);
    }
  }
  REQUIRE(vectors["t_quantile"].size() > 100);
  for (const auto& row : vectors["t_quantile"]) check_close(student_t_quantile(row["p"], row["df"]), row["t"]);
  REQUIRE(vectors["wilson"].size() > 50);
  for (const auto& row : vectors["wilson"]) {
    const Interval found = wilson_interval(row["k"], row["n"], row["conf"]);
    check_close(found.low, row["low"]);
    check_close(found.high, row["high"]);
  }
}

}  // namespace
}  // namespace attnlab
