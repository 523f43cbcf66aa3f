
#include <algorithm>

#include "core/random.h"
#include "stats/fisher.h"
#include "stats/mcnemar.h"
#include "stats/sign_flip.h"
#include "stats/two_sample.h"
#include "support.h"

namespace attnlab {
namespace {

using test::aborts;
using test::check_close;
using test::Values;

Values scaled(Values values, double factor) {
  for (double& value : values) value *= factor;
  return values;
}

// Whole numbers from -9 to 19.
Values lopsided(int64_t n) {
  Random random(5);
  Values values;
  for (int64_t i = 0; i < n; ++i) values.push_back(static_cast<double>(random.between(-9, 19)));
  return values;
}

TEST_CASE("sign flips that can be counted by hand") {
  for (const double unit : {1.0, 0.1}) {  // whole numbers and others take different ways
    const PermutationTest found = sign_flip_test(scaled({1, 2, 3, 4, 5}, unit));
    CHECK(found.exact);
    check_close(found.p_greater, 1.0 / 32);
    check_close(found.p_less, 1);
    check_close(found.p_two_sided, 2.0 / 32);
    const PermutationTest mixed = sign_flip_test(scaled({1, -1, 3}, unit));  // sums ±5, ±3 twice, ±1
    check_close(mixed.p_greater, 3.0 / 8);
    check_close(mixed.p_less, 7.0 / 8);
    check_close(mixed.p_two_sided, 6.0 / 8);
  }
}

TEST_CASE("differences of 0 and their absence show nothing") {
  for (const Values& values : {Values{}, Values{0, 0}, Values{2, -2}}) {
    CHECK(sign_flip_test(values).p_two_sided == 1);
    CHECK(sign_flip_test(values).exact);
  }
  CHECK(sign_flip_test(Values{0.5, 0, 0.25}).p_greater == sign_flip_test(Values{0.5, 0.25}).p_greater);
}

TEST_CASE("for right and wrong answers the sign flips are McNemar's exact test") {
  Values values(8, 1.0);
  values.resize(28, -1.0);
  values.resize(500, 0.0);
  check_close(sign_flip_test(values).p_two_sided, mcnemar(8, 20).exact);
  check_close(sign_flip_test(scaled(Values(values.begin(), values.begin() + 28), 0.1)).p_two_sided,
              mcnemar(8, 20).exact);
}

TEST_CASE("counting by size and meeting in the middle agree") {
  const Values values = lopsided(33);
  const PermutationTest whole = sign_flip_test(values), halves = sign_flip_test(scaled(values, 0.1));
  REQUIRE(whole.exact);
  REQUIRE(halves.exact);
  check_close(halves.p_two_sided, whole.p_two_sided);
  check_close(halves.p_greater, whole.p_greater);
  check_close(halves.p_less, whole.p_less);
  CHECK(whole.p_two_sided < 0.5);
}

// Four and a half deviations of a share p among n, and what 1 / (1 + n) adds.
double allowed(double p, double n) { return 4.5 * std::sqrt(p * (1 - p) / n) + 1 / n; }

void check_random(const Values& values, const PermutationTest& exact) {
  const PermutationTest random = sign_flip_test(values, {.resamples = 200000, .seed = 1});
  REQUIRE_FALSE(random.exact);
  CHECK(std::abs(random.p_two_sided - exact.p_two_sided) < allowed(exact.p_two_sided, 2e5));
  CHECK(std::abs(random.p_greater - exact.p_greater) < allowed(exact.p_greater, 2e5));
  CHECK(std::abs(random.p_less - exact.p_less) < allowed(exact.p_less, 2e5));
  CHECK(sign_flip_test(values, {.resamples = 200000, .seed = 1}).p_greater == random.p_greater);
}

TEST_CASE("random sign flips come near the exact p") {
  Values values = lopsided(150);  // more than the bits of one random number
  for (double& value : values) value -= 5;
  const PermutationTest exact = sign_flip_test(values);
  REQUIRE(exact.exact);
  CHECK(exact.p_greater > 0.01);
  CHECK(exact.p_greater < 0.5);
  check_random(scaled(values, 0.25), exact);
}

TEST_CASE("random sums that differ by rounding alone count as equal") {
  Values values(28, 1.0);
  values.resize(50, -1.0);
  // Their tenths: 0.5999999999999998 one way, 0.6000000000000002 the other, and most orders lie between.
  const Values reversed(values.rbegin(), values.rend());
  for (const Values& order : {values, reversed})
    for (const double sign : {-1.0, 1.0})
      check_random(scaled(order, 0.1 * sign), sign_flip_test(scaled(order, sign)));
}

TEST_CASE("a random p is never 0") {
  const Values values = scaled(Values(100, 1.0), 0.1);
  CHECK(sign_flip_test(values, {.resamples = 99}).p_greater == 0.01);
  CHECK(two_sample_permutation(Values(50, 1.0), Values(50, 0.0), {.resamples = 99}).p_greater == 0.01);
}

TEST_CASE("splits of two samples that can be counted by hand") {
  const PermutationTest found = two_sample_permutation(Values{4, 5, 6}, Values{1, 2, 3});
  CHECK(found.exact);
  check_close(found.p_greater, 1.0 / 20);
  check_close(found.p_less, 1);
  check_close(found.p_two_sided, 2.0 / 20);
  // Three of six pairs are 1, 1: the smaller tail is half of all.
  check_close(two_sample_permutation(Values{1, 1}, Values{1, 10}).p_two_sided, 1);
  // One of four choices has the 10, and none lies as far on the other side.
  const PermutationTest unequal = two_sample_permutation(Values{10}, Values{0, 0, 0});
  check_close(unequal.p_greater, 0.25);
  check_close(unequal.p_two_sided, 0.5);
}

TEST_CASE("splits of right and wrong answers are Fisher's test") {
  Values x(9, 1.0), y(4, 1.0);
  x.resize(11, 0.0);
  y.resize(9, 0.0);
  const PermutationTest found = two_sample_permutation(x, y);
  const FisherExact fisher = fisher_exact({{{9, 2}, {4, 5}}});
  REQUIRE(found.exact);
  check_close(found.p_greater, fisher.p_greater);
  check_close(found.p_less, fisher.p_less);
}

TEST_CASE("random splits come near the exact p") {
  Values x(30, 1.0), y(22, 1.0);
  x.resize(50, 0.0);
  y.resize(50, 0.0);
  const PermutationTest found = two_sample_permutation(x, y, {.resamples = 20000, .seed = 2});
  const FisherExact fisher = fisher_exact({{{30, 20}, {22, 28}}});
  REQUIRE_FALSE(found.exact);
  CHECK(std::abs(found.p_greater - fisher.p_greater) < allowed(fisher.p_greater, 2e4));
  CHECK(std::abs(found.p_less - fisher.p_less) < allowed(fisher.p_less, 2e4));
  check_close(found.p_two_sided, 2 * found.p_greater);
  CHECK(two_sample_permutation(x, y, {.resamples = 20000, .seed = 2}).p_less == found.p_less);
}

TEST_CASE("permutation tests refuse what is not finite and what is not there") {
  CHECK(aborts([] { sign_flip_test(Values{1, std::nan("")}); }));
  CHECK(aborts([] { sign_flip_test(Values{1}, {.resamples = 0}); }));
  CHECK(aborts([] { two_sample_permutation(Values{}, Values{1}); }));
  CHECK(aborts([] { two_sample_permutation(Values{1}, Values{}); }));
  CHECK(aborts([] { two_sample_permutation(Values{1}, Values{INFINITY}); }));
  CHECK(aborts([] { two_sample_permutation(Values{1}, Values{2}, {.resamples = 0}); }));
}

TEST_CASE("permutation tests agree with SciPy") {
  REQUIRE_ROWS(flips, "sign_flip_exact", 6);
  for (const auto& row : flips)
    for (const double unit : {1.0, 0.001}) {
      const PermutationTest found = sign_flip_test(scaled(row["differences"].get<Values>(), unit));
      check_close(found.p_two_sided, row["p_two_sided_abs"]);
      check_close(found.p_two_sided, row["p_two_sided_scipy"]);
      check_close(found.p_greater, row["p_greater"]);
      check_close(found.p_less, row["p_less"]);
    }
  REQUIRE_ROWS(splits, "two_sample_permutation_exact", 3);
  for (const auto& row : splits)
    check_close(two_sample_permutation(row["x"].get<Values>(), row["y"].get<Values>()).p_two_sided,
                row["p_two_sided"]);
}

}  // namespace
}  // namespace attnlab
