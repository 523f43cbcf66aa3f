// Numbers of SciPy: tests/stats/make_scaling_numbers.py.
#include "stats/scaling_fit.h"

#include "stats/minimise.h"
#include "support.h"

namespace attnlab {
namespace {

using test::check_close;

double law(double k, double n, double d) {
  const double root = std::sqrt(k);
  return 1.2 + 0.5 * std::pow(root * n / 4e6, -0.4) + 0.3 * std::pow(root * d / 3e7, -0.6);
}

// Two arms, three sizes, three budgets, so many seeds; `noise` of each loss, relative.
template <class Noise>
std::vector<ScalingPoint> grid_points(int64_t seeds, Noise noise) {
  std::vector<ScalingPoint> points;
  int place = 0;
  for (size_t arm = 0; arm < 2; ++arm)
    for (const double n : {1e6, 4e6, 16e6})
      for (const double d : {1e7, 3e7, 9e7})
        for (int64_t seed = 0; seed < seeds; ++seed, ++place)
          points.push_back({.arm = arm,
                            .size = n,
                            .tokens = d,
                            .loss = law(arm == 0 ? 1 : 1.5, n, d) * (1 + noise(place, n * d, seed)),
                            .seed = seed});
  return points;
}

TEST_CASE("a simplex finds the lowest point of Rosenbrock's valley") {
  const auto valley = [](const std::vector<double>& x) {
    return 100 * std::pow(x[1] - x[0] * x[0], 2) + std::pow(1 - x[0], 2);
  };
  const Minimum found = minimise(valley, {-1.2, 1}, 0.5, 1e-14);
  CHECK(std::abs(found.at[0] - 1) < 1e-3);
  CHECK(std::abs(found.at[1] - 1) < 1e-3);
}

TEST_CASE("losses that lie on the law give its numbers back") {
  const auto fit = fit_scaling(grid_points(1, [](auto...) { return 0.0; }), 2);
  REQUIRE(fit.has_value());
  CHECK_FALSE(fit->of_compute);
  check_close(fit->floor, 1.2, 2e-3);
  check_close(fit->size_exponent, 0.4, 5e-3);
  check_close(fit->token_exponent, 0.6, 5e-3);
  check_close(fit->multiplier[1], 1.5, 2e-3);
  check_close(fit->loss(1, 64e6, 27e7), law(1.5, 64e6, 27e7), 1e-3);
}

TEST_CASE("least squares agree with SciPy's") {
  const auto fit = fit_scaling(grid_points(1, [](int i, auto...) { return 0.004 * std::sin(7 * i); }), 2);
  REQUIRE(fit.has_value());
  check_close(fit->residual * fit->residual * 18, 4.7529028181784114e-05, 1e-4);
  check_close(fit->multiplier[1], 1.4946976681317288, 1e-2);
  check_close(fit->size_exponent, 0.38859728093107193, 5e-2);
  check_close(fit->floor, 1.1767412588899278, 2e-2);
}

TEST_CASE("sizes and budgets that go hand in hand are fitted by compute") {
  std::vector<ScalingPoint> points;
  for (size_t arm = 0; arm < 2; ++arm)
    for (const double n : {1e6, 2e6, 4e6})
      points.push_back(
          {.arm = arm, .size = n, .tokens = 20 * n, .loss = 1 + 2 * std::pow((arm + 1) * n * n / 1e12, -0.3)});
  const auto fit = fit_scaling(points, 2);
  REQUIRE(fit.has_value());
  CHECK(fit->of_compute);
  check_close(fit->multiplier[1], 2, 1e-3);
  check_close(fit->size_exponent, 0.3, 1e-2);
}

TEST_CASE("what cannot be fitted") {
  const std::vector<ScalingPoint> one{{.arm = 0, .size = 1, .tokens = 1, .loss = 1}};
  CHECK_FALSE(fit_scaling(one, 1).has_value());
  CHECK_FALSE(fit_scaling(grid_points(1, [](auto...) { return 0.0; }), 3).has_value());
  CHECK(test::aborts([] { fit_scaling(std::vector<ScalingPoint>{{.size = 0, .tokens = 1, .loss = 1}}, 1); }));
}

TEST_CASE("the bootstrap's multipliers hold the true one, and arms far apart do not flip") {
  // Noise of place and seed that both arms share, and a tenth of it of their own.
  const auto noise = [](int i, double compute, int64_t seed) {
    return 0.004 * std::sin(std::log(compute) * 37 + 11 * static_cast<double>(seed)) + 0.0004 * std::sin(7 * i);
  };
  const auto forecast = forecast_scaling(grid_points(3, noise), 2, 60);
  REQUIRE(forecast.has_value());
  CHECK(forecast->next_size == 64e6);
  CHECK(forecast->next_tokens == Approx(27e7));
  const Interval& k = forecast->multiplier[1];
  CAPTURE(k.low, k.value, k.high);
  CHECK(k.low < 1.5);
  CHECK(k.high > 1.45);
  CHECK(k.high - k.low < 0.3);
  CHECK(forecast->flips[1] == 0);
}

TEST_CASE("arms that do not differ flip about as often as not") {
  std::vector<ScalingPoint> points =
      grid_points(4, [](int i, auto...) { return 0.01 * std::sin(13.7 * i * i); });
  for (auto& point : points)
    point.loss *= point.arm == 1 ? law(1, point.size, point.tokens) / law(1.5, point.size, point.tokens) : 1;
  const auto forecast = forecast_scaling(points, 2, 60);
  REQUIRE(forecast.has_value());
  CHECK(forecast->multiplier[1].low < 1);
  CHECK(forecast->multiplier[1].high > 1);
  CHECK(forecast->flips[1] > 0.05);
  CHECK(forecast->flips[1] < 0.95);
}

}  // namespace
}  // namespace attnlab
