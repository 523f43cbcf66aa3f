#include "stats/power.h"

#include "stats/distributions.h"
#include "support.h"

namespace attnlab {
namespace {

using test::aborts;
using test::check_close;

TEST_CASE("the detectable difference solves its equation") {
  for (const double power : {0.3, 0.8, 0.95}) {
    const PairedDesign design{.n = 500, .discordant_rate = 0.2};
    const double difference = minimum_detectable_difference(design, power).value();
    const double root = normal_quantile(0.975) * std::sqrt(0.2) +
                        normal_quantile(power) * std::sqrt(0.2 - difference * difference);
    check_close(500 * difference * difference, root * root);
  }
}

TEST_CASE("a difference beyond the discordant share cannot be detected") {
  CHECK_FALSE(minimum_detectable_difference({.n = 100, .discordant_rate = 0.05}).has_value());
  CHECK_FALSE(minimum_detectable_difference({.n = 2, .discordant_rate = 1}).has_value());
  CHECK_FALSE(minimum_detectable_difference({.n = 3, .discordant_rate = 1}, 0.95).has_value());
  CHECK(minimum_detectable_difference({.n = 1000, .discordant_rate = 0.05}).has_value());
  check_close(simple_detectable_difference({.n = 100, .discordant_rate = 0.05}), 0.06264534992459173);
}

TEST_CASE("power of McNemar's test where all problems fall to one arm") {
  // Five of five: exact p = 1/16, mid p = 1/32. Six of six: exact p = 1/32.
  const PairedDesign five{.n = 5, .discordant_rate = 1}, six{.n = 6, .discordant_rate = 1};
  CHECK(mcnemar_power(five, 1, McNemarForm::exact) == 0);
  check_close(mcnemar_power(five, 1, McNemarForm::mid_p), 1);
  check_close(mcnemar_power(six, 1, McNemarForm::exact), 1);
  check_close(mcnemar_power(six, -1, McNemarForm::exact), 1);
}

TEST_CASE("power sums over the number of discordant pairs") {
  // At n = 6 and ψ = ½ only six discordant pairs of six can reject, 1/64 of the time, if all lie on one side.
  const double share = 0.75;  // δ = ψ / 2
  check_close(mcnemar_power({.n = 6, .discordant_rate = 0.5}, 0.25, McNemarForm::exact),
              (std::pow(share, 6) + std::pow(1 - share, 6)) / 64);
}

TEST_CASE("without a difference the exact test rejects no more often than alpha") {
  for (const int64_t n : {20, 101, 400}) {
    const PairedDesign design{.n = n, .discordant_rate = 0.3};
    CHECK(mcnemar_power(design, 0, McNemarForm::exact) <= 0.05);
    CHECK(mcnemar_power(design, 0, McNemarForm::mid_p) > mcnemar_power(design, 0, McNemarForm::exact));
  }
}

TEST_CASE("a design that cannot be is refused") {
  CHECK(aborts([] { minimum_detectable_difference({.n = 0, .discordant_rate = 0.1}); }));
  CHECK(aborts([] { minimum_detectable_difference({.n = 9, .discordant_rate = 0}); }));
  CHECK(aborts([] { minimum_detectable_difference({.n = 9, .discordant_rate = 1.1}); }));
  CHECK(aborts([] { minimum_detectable_difference({.n = 9, .discordant_rate = 0.1, .alpha = 0}); }));
  CHECK(aborts([] { minimum_detectable_difference({.n = 9, .discordant_rate = 0.1}, 1); }));
  CHECK(aborts([] { simple_detectable_difference({.n = 9, .discordant_rate = 0.1}, 0); }));
  CHECK(aborts([] { mcnemar_power({.n = 9, .discordant_rate = 0.1}, 0.2); }));
}

TEST_CASE("detectable differences and exact powers agree with SciPy") {
  REQUIRE_ROWS(rows, "mde_paired_binary", 60);
  int powers = 0;
  for (const auto& row : rows) {
    const PairedDesign design{.n = row["n"], .discordant_rate = row["discordant_rate"], .alpha = row["alpha"]};
    CAPTURE(row.dump());
    check_close(simple_detectable_difference(design, row["power"]), row["mde_simple"]);
    const auto difference = minimum_detectable_difference(design, row["power"]);
    REQUIRE(difference.has_value() == !row["mde"].is_null());
    if (!difference) continue;
    check_close(*difference, row["mde"]);
    if (!row.contains("power_of_exact_mcnemar_at_mde")) continue;
    ++powers;
    check_close(mcnemar_power(design, *difference, McNemarForm::exact), row["power_of_exact_mcnemar_at_mde"]);
    check_close(mcnemar_power(design, *difference, McNemarForm::mid_p), row["power_of_mid_p_mcnemar_at_mde"]);
  }
  CHECK(powers > 30);
}

}  // namespace
}  // namespace attnlab
