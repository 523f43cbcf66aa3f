#include "stats/distributions.h"

#include "support.h"

namespace attnlab {
namespace {

using test::aborts;
using test::check_close;

TEST_CASE("quantiles of Student's t are those of the printed tables") {
  // df = 1 is Cauchy, df = 2 has a closed form: t = (2p - 1) √(2 / (4p(1 - p)))
  check_close(student_t_quantile(0.975, 1), std::tan(std::acos(-1.0) * 0.475));
  check_close(student_t_quantile(0.975, 2), 0.95 * std::sqrt(2 / (4 * 0.975 * 0.025)));
  CHECK(student_t_quantile(0.975, 4) == Approx(2.776445105).epsilon(1e-9));
  CHECK(student_t_quantile(0.5, 3) == Approx(0).margin(1e-12));
  CHECK(student_t_quantile(0.025, 4) == Approx(-2.776445105).epsilon(1e-9));
}

TEST_CASE("distribution functions at values known in closed form") {
  check_close(normal_cdf(0), 0.5);
  check_close(normal_cdf(1), 0.841344746068543);
  check_close(normal_cdf(-6), std::erfc(6 / std::sqrt(2.0)) / 2);
  check_close(student_t_cdf(1, 1), 0.75);
  check_close(student_t_cdf(-INFINITY, 3), 0);
  check_close(binomial_pmf(2, 4, 0.5), 6.0 / 16);
  check_close(binomial_cdf(1, 3, 0.25), 27.0 / 64 + 27.0 / 64);
}

TEST_CASE("binomial counts that cannot be have no probability") {
  CHECK(binomial_pmf(-1, 3, 0.5) == 0);
  CHECK(binomial_pmf(4, 3, 0.5) == 0);
  CHECK(binomial_cdf(-1, 3, 0.5) == 0);
  CHECK(binomial_cdf(3, 3, 0.5) == 1);
  CHECK(binomial_pmf(0, 0, 0.5) == 1);
  CHECK(binomial_pmf(3, 3, 1) == 1);
  CHECK(binomial_pmf(0, 3, 1) == 0);
  CHECK(binomial_cdf(0, 3, 0) == 1);
}

TEST_CASE("distributions refuse parameters that make none") {
  CHECK(aborts([] { normal_quantile(0); }));
  CHECK(aborts([] { normal_quantile(1); }));
  CHECK(aborts([] { student_t_quantile(0.5, 0); }));
  CHECK(aborts([] { student_t_quantile(1, 3); }));
  CHECK(aborts([] { student_t_cdf(1, -1); }));
  CHECK(aborts([] { binomial_cdf(0, -1, 0.5); }));
  CHECK(aborts([] { binomial_pmf(0, 1, 1.5); }));
  CHECK_FALSE(aborts([] { normal_quantile(0.5); }));
}

TEST_CASE("quantiles and distribution functions agree with SciPy") {
  REQUIRE_ROWS(t_quantiles, "t_quantile", 100);
  for (const auto& row : t_quantiles) check_close(student_t_quantile(row["p"], row["df"]), row["t"]);
  REQUIRE_ROWS(t_tails, "t_cdf", 60);
  for (const auto& row : t_tails) check_close(student_t_cdf(row["t"], row["df"]), row["p"]);
  REQUIRE_ROWS(normal, "normal_quantile", 15);
  for (const auto& row : normal) {
    check_close(normal_quantile(row["p"]), row["z"]);
    check_close(normal_cdf(row["z"]), row["p"]);
  }
  REQUIRE_ROWS(binomial, "binomial_cdf", 16);
  for (const auto& row : binomial) check_close(binomial_cdf(row["k"], row["n"], row["p"]), row["cdf"]);
}

}  // namespace
}  // namespace attnlab
