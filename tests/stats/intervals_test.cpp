#include "stats/intervals.h"

#include "stats/distributions.h"
#include "support.h"

namespace attnlab {
namespace {

using test::aborts;
using test::check_close;
using test::Values;

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

TEST_CASE("equal values tell nothing of their scatter, and claim no certainty") {
  const Interval interval = mean_interval(Values{0.1, 0.1, 0.1});
  CHECK(interval.value == 0.1);
  CHECK_FALSE(interval.has_ends());
  for (const auto& found :
       {paired_difference(Values{1, 2}, Values{1, 2}), paired_difference(Values{2, 3}, Values{1, 2}),
        // One problem of 20 more with each seed: equal but for the rounding of both sides.
        paired_difference(Values{0.55, 0.6}, Values{0.5, 0.55})}) {
    CHECK_FALSE(found.difference.has_ends());
    CHECK(std::isnan(found.p));
    CHECK(std::isnan(found.t));
    CHECK(std::isnan(found.effect_size));
  }
  CHECK(verdict_of(paired_difference(Values{1, 2}, Values{1, 2}).difference) == Verdict::no_difference_shown);
  CHECK(verdict_of(paired_difference(Values{2, 3}, Values{1, 2}).difference) == Verdict::no_interval);
}

TEST_CASE("a verdict says in words which side is the better one") {
  const Interval below{.value = -2, .low = -3, .high = -1, .n = 4},
      above{.value = 2, .low = 1, .high = 3, .n = 4};
  CHECK(verdict_words(below, false) == "lower, better");
  CHECK(verdict_words(below, true) == "lower, worse");
  CHECK(verdict_words(above, true) == "higher, better");
  CHECK(verdict_words(above, false) == "higher, worse");
  CHECK(verdict_words({.value = 0, .low = -1, .high = 1, .n = 4}, true) == "no difference shown");
}

TEST_CASE("a paired difference tells its effect size and what its t is made of") {
  const PairedDifference found = paired_difference(Values{1, 3}, Values{0, 0});  // s = √2
  check_close(found.effect_size, std::sqrt(2.0));
  CHECK(found.student.mean == 2);
  check_close(found.student.standard_error, 1);
}

TEST_CASE("values within bounds get a width whatever they are") {
  // Bonett and Price by hand: b = 4, c = 0, n = 20: (5 - 1) / 22 ± t_21 √((6 - 16/22) / 21 / 22).
  Values differences(20, 0);
  std::fill_n(differences.begin(), 4, 1.0);
  const Interval found = bounded_mean_interval(differences, difference_bounds);
  const double half = student_t_quantile(0.975, 21) * std::sqrt((6 - 16.0 / 22) / 21 / 22);
  CHECK(found.value == Approx(0.2));
  CHECK(found.n == 20);
  check_close(found.low, 4.0 / 22 - half);
  check_close(found.high, 4.0 / 22 + half);
  // All right, none of 20 other; all 20 won by the same arm.
  CHECK(bounded_mean_interval(Values(20, 1), share_bounds).high == 1);
  CHECK(bounded_mean_interval(Values(20, 1), share_bounds).low < 0.9);
  CHECK(bounded_mean_interval(Values(20, 0), difference_bounds).half_width() > 0.1);
  CHECK(bounded_mean_interval(Values(20, 1), difference_bounds).low < 1);
  CHECK_FALSE(bounded_mean_interval(Values{}, share_bounds).has_ends());
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

TEST_CASE("a mean and its error") {
  const MeanError found = mean_and_error(Values{0, 1, 1, 0, 1});  // s² = 0.3
  check_close(found.mean, 0.6);
  check_close(found.standard_error, std::sqrt(0.3 / 5));
  CHECK(std::isnan(mean_and_error(Values{2}).standard_error));
}

TEST_CASE("the paired t test of two pairs") {
  // Differences 1 and 3: t = 2 / 1 with one degree of freedom, Cauchy.
  const PairedDifference found = paired_difference(Values{1, 3}, Values{0, 0});
  check_close(found.t, 2);
  CHECK(found.df == 1);
  check_close(found.p_greater, 0.5 - std::atan(2.0) / std::acos(-1.0));
  check_close(found.p, 2 * found.p_greater);
  check_close(paired_difference(Values{0, 0}, Values{1, 3}).p_greater, 1 - found.p_greater);
}

TEST_CASE("Clopper and Pearson's interval at its ends") {
  CHECK(clopper_pearson_interval(0, 10).low == 0);
  CHECK(clopper_pearson_interval(10, 10).high == 1);
  check_close(clopper_pearson_interval(0, 10).high, 1 - std::pow(0.025, 0.1));
  check_close(clopper_pearson_interval(10, 10).low, std::pow(0.025, 0.1));
  CHECK(clopper_pearson_interval(3, 10).half_width() > wilson_interval(3, 10).half_width());
  CHECK_FALSE(clopper_pearson_interval(0, 0).has_ends());
}

TEST_CASE("intervals refuse counts and confidences that cannot be") {
  CHECK(aborts([] { wilson_interval(3, 2); }));
  CHECK(aborts([] { wilson_interval(-1, 2); }));
  CHECK(aborts([] { wilson_interval(1, 2, 1); }));
  CHECK(aborts([] { clopper_pearson_interval(3, 2); }));
  CHECK(aborts([] { clopper_pearson_interval(-1, 2); }));
  CHECK(aborts([] { clopper_pearson_interval(1, 2, 0); }));
  CHECK(aborts([] { mean_interval(Values{1, 2}, 1); }));
  CHECK(aborts([] { paired_difference(Values{1}, Values{1, 2}); }));
}

TEST_CASE("the paired t test agrees with SciPy") {
  REQUIRE_ROWS(rows, "paired_t", 6);
  for (const auto& row : rows) {
    const auto x = row["x"].get<Values>(), y = row["y"].get<Values>();
    const PairedDifference found = paired_difference(x, y);
    CHECK(found.df == row["df"]);
    check_close(found.t, row["t"]);
    check_close(found.p, row["p_two_sided"]);
    check_close(found.p_greater, row["p_greater"]);
    for (const auto& [key, confidence] : {std::pair{"ci90", 0.9}, {"ci95", 0.95}, {"ci99", 0.99}}) {
      const Interval interval = paired_difference(x, y, confidence).difference;
      check_close(interval.low, row[key][0], 1e-9, 1e-6);
      check_close(interval.high, row[key][1], 1e-9, 1e-6);
    }
  }
}

TEST_CASE("intervals of a proportion agree with statsmodels") {
  const auto agree = [](const auto& rows, const auto& interval_of) {
    for (const auto& row : rows) {
      CAPTURE(row.dump());
      const Interval found = interval_of(row["k"], row["n"], row["conf"]);
      check_close(found.low, row["low"], 1e-9, 1e-6);  // Wilson's low end is what is left of two equal terms
      check_close(found.high, row["high"]);
    }
  };
  REQUIRE_ROWS(wilson, "wilson", 200);
  agree(wilson, wilson_interval);
  REQUIRE_ROWS(clopper_pearson, "clopper_pearson", 19);
  agree(clopper_pearson, clopper_pearson_interval);
}

TEST_CASE("mean and error agree with lm-evaluation-harness") {
  REQUIRE_ROWS(rows, "lm_eval_mean_stderr", 3);
  for (const auto& row : rows) {
    const MeanError found = mean_and_error(row["scores"].get<Values>());
    check_close(found.mean, row["mean"]);
    check_close(found.standard_error, row["stderr"]);
  }
}

}  // namespace
}  // namespace attnlab
