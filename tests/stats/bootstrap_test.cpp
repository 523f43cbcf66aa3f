#include "stats/bootstrap.h"

#include <numeric>

#include "stats/distributions.h"
#include "support.h"

namespace attnlab {
namespace {

using test::aborts;
using test::check_close;
using test::Values;

TEST_CASE("the quantile of sorted values is the first that reaches the level") {
  const Values sorted{1, 2, 3, 4};
  CHECK(quantile_of_sorted(sorted, 0) == 1);
  CHECK(quantile_of_sorted(sorted, 0.25) == 1);
  CHECK(quantile_of_sorted(sorted, 0.26) == 2);
  CHECK(quantile_of_sorted(sorted, 1 - 0.25) == 3);
  CHECK(quantile_of_sorted(sorted, 1) == 4);
  Values hundred(100);
  std::iota(hundred.begin(), hundred.end(), 1);
  CHECK(quantile_of_sorted(hundred, 0.07) == 7);  // 0.07 · 100 is 7.000000000000001
  CHECK(aborts([] { quantile_of_sorted(Values{}, 0.5); }));
  CHECK(aborts([&] { quantile_of_sorted(sorted, 1.1); }));
}

TEST_CASE("the bootstrap of two values has three means") {
  // 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4: deviation √(1/8). Relative error of a deviation from 20000
  // draws of this distribution: √((kurtosis - 1) / 4n) = 1/283, four of which are allowed.
  const Bootstrap wide = bootstrap_mean(Values{0, 1});
  CHECK(wide.percentile.low == 0);
  CHECK(wide.percentile.high == 1);
  CHECK(wide.percentile.value == 0.5);
  CHECK(wide.percentile.n == 2);
  check_close(wide.standard_error, std::sqrt(0.125), 4 / 283.0);
  const Bootstrap narrow = bootstrap_mean(Values{0, 1}, {.confidence = 0.4});  // levels 0.3, 0.7
  CHECK(narrow.percentile.low == 0.5);
  CHECK(narrow.percentile.high == 0.5);
}

TEST_CASE("levels without bias and skewness are those of the percentiles") {
  const Levels plain = bca_levels(0, 0, 0.9);
  check_close(plain.low, 0.05);
  check_close(plain.high, 0.95);
  const Levels biased = bca_levels(0.1, 0, 0.9);
  check_close(biased.low, normal_cdf(0.2 + normal_quantile(0.05)));
  const Levels skewed = bca_levels(0, 0.1, 0.9);
  const double z = normal_quantile(0.95);
  check_close(skewed.high, normal_cdf(z / (1 - 0.1 * z)));
  CHECK(bca_levels(0, 0.9, 0.9).high == 1);  // past the pole
  CHECK(bca_levels(0, -0.9, 0.9).low == 0);
  CHECK(aborts([] { bca_levels(0, 0, 1); }));
}

TEST_CASE("the acceleration is a sixth of the skewness over the root of n") {
  // Deviations -1, -1, 2: cubes sum to 6, squares to 6.
  check_close(jackknife_acceleration(Values{1, 1, 4}), 1 / std::pow(6, 1.5));
  CHECK(jackknife_acceleration(Values{1, 2, 3}) == 0);
  CHECK(jackknife_acceleration(Values{0.1, 0.1, 0.1}) == 0);
}

TEST_CASE("the bias-corrected ends follow the skewness") {
  const Bootstrap found = bootstrap_mean(Values{0, 0, 0, 0, 0, 0, 1, 1, 2, 9});
  CHECK(found.bca_levels.low > 0.03);
  CHECK(found.bca_levels.high > 0.98);
  CHECK(found.bca.low > found.percentile.low);
  CHECK(found.bca.high > found.percentile.high);
}

TEST_CASE("a bootstrap is a function of its seed") {
  const Values values{0.3, 1.7, 2.9, 4.1, 11.3};
  const Bootstrap first = bootstrap_mean(values, {.resamples = 500, .seed = 3});
  const Bootstrap again = bootstrap_mean(values, {.resamples = 500, .seed = 3});
  const Bootstrap other = bootstrap_mean(values, {.resamples = 500, .seed = 4});
  CHECK(first.standard_error == again.standard_error);
  CHECK(first.bca.high == again.bca.high);
  CHECK(first.standard_error != other.standard_error);
}

TEST_CASE("the resamples of a seed stay what they are") {
  // No machine, compiler or later version may draw others: published intervals hang on them.
  const Bootstrap found = bootstrap_mean(Values{1, 2, 4, 8, 16, 32}, {.resamples = 100, .seed = 7});
  check_close(found.standard_error, 4.5996950077, 1e-10);
  CHECK(found.percentile.low == 20.0 / 6);
  CHECK(found.percentile.high == 115.0 / 6);
}

TEST_CASE("values without spread give ends without width") {
  const Bootstrap found = bootstrap_mean(Values{2, 2, 2}, {.resamples = 50});
  CHECK(found.percentile.low == 2);
  CHECK(found.percentile.high == 2);
  CHECK(found.bca.low == 2);
  CHECK(found.bca.high == 2);
  CHECK(found.z0 == 0);
  CHECK(found.standard_error == 0);
}

TEST_CASE("sums that differ by rounding alone count as equal") {
  // Seven of 27 resamples have the sample's sum, but rounded in several ways; ten lie below it, ten above. Half
  // of the equal ones make a share of ½, whose deviation among 20000 is √(1/4 · 20/27) / √20000.
  const Bootstrap found = bootstrap_mean(Values{0.1, 0.2, 0.3});
  CHECK(std::abs(found.z0) < 4.5 * std::sqrt(5 / 27.0 / 20000) / 0.398942);
}

TEST_CASE("too few or useless values give no bootstrap interval") {
  CHECK_FALSE(bootstrap_mean(Values{}).percentile.has_ends());
  const Bootstrap one = bootstrap_mean(Values{3});
  CHECK(one.bca.value == 3);
  CHECK_FALSE(one.bca.has_ends());
  CHECK_FALSE(bootstrap_mean(Values{1, std::nan(""), 2}).percentile.has_ends());
  CHECK(verdict_of(one.bca) == Verdict::not_enough_runs);
  CHECK(aborts([] { bootstrap_mean(Values{1, 2}, {.resamples = 1}); }));
  CHECK(aborts([] { bootstrap_mean(Values{1, 2}, {.confidence = 0}); }));
}

TEST_CASE("a paired bootstrap is that of the differences") {
  const Values x{1, 5, 2, 8}, y{0, 1, 2, 3};
  const BootstrapConfig config{.resamples = 200, .seed = 1};
  const Interval found = bootstrap_difference(x, y, config).bca;
  CHECK(found.value == 2.5);
  CHECK(found.high == bootstrap_mean(Values{1, 4, 0, 5}, config).bca.high);
  CHECK(aborts([&] { bootstrap_difference(x, Values{1}); }));
}

void check_ends(const Interval& found, const nlohmann::json& expected, double tolerance) {
  CAPTURE(found.low, found.high, expected.dump());
  CHECK(std::abs(found.low - expected[0].get<double>()) <= tolerance);
  CHECK(std::abs(found.high - expected[1].get<double>()) <= tolerance);
}

TEST_CASE("the bootstrap agrees with the exact one and with SciPy") {
  REQUIRE_ROWS(rows, "bootstrap_mean", 13);
  for (const auto& row : rows) {
    CAPTURE(row["name"].dump(), row["conf"].dump());
    const auto values = row["values"].get<Values>();
    for (const uint64_t seed : {0, 1, 2}) {
      const Bootstrap found = bootstrap_mean(values, {.confidence = row["conf"], .seed = seed});
      check_close(found.percentile.value, row["mean"]);
      check_ends(found.percentile, row["percentile"], row["tolerance_at_20000"]);
      check_ends(found.bca, row["bca"], row["tolerance_at_20000"]);
      // A deviation from 20000 draws of a nearly normal variable is off by a share 1/√40000.
      check_close(found.standard_error, row["bootstrap_se"], 4.5 / 200);
      if (!row.contains("bca_z0")) continue;
      check_close(found.acceleration, row["bca_acceleration"]);
      // A share near ½ of 20000 is off by 0.0035, its quantile by that over the normal density.
      CHECK(std::abs(found.z0 - row["bca_z0"].get<double>()) < 4.5 * 0.00354 / 0.398);
      const Levels levels = bca_levels(row["bca_z0"], row["bca_acceleration"], row["conf"]);
      check_close(levels.low, row["bca_levels"][0]);
      check_close(levels.high, row["bca_levels"][1]);
    }
  }
}

}  // namespace
}  // namespace attnlab
