#include "stats/intervals.h"

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

TEST_CASE("differences without spread leave nothing to chance") {
  const PairedDifference above = paired_difference(Values{2, 3}, Values{1, 2});
  const PairedDifference below = paired_difference(Values{1, 2}, Values{2, 3});
  const PairedDifference none = paired_difference(Values{1, 2}, Values{1, 2});
  CHECK(above.p_greater == 0);
  CHECK(above.t == INFINITY);
  CHECK(below.p_greater == 1);
  CHECK(below.t == -INFINITY);
  CHECK(none.p_greater == 1);
  CHECK(none.t == 0);
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
