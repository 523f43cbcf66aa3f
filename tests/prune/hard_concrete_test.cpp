// Hard concrete masks against their definition.
#include "prune/hard_concrete.h"

#include <cmath>

#include "catch.h"

namespace attnlab::test {
namespace {

TEST_CASE("a mask is not 0 as often as its chance says, and exactly 0 and 1 where it is clamped") {
  torch::manual_seed(1);
  constexpr int64_t draws = 200000;
  for (const double value : {-2.0, 0.0, 1.5, 3.0}) {
    const auto alpha = torch::full({draws}, value, torch::kFloat64);
    const auto z = sampled_mask(alpha, torch::rand({draws}, torch::kFloat64) * (1 - 2e-6) + 1e-6);
    const double chance = kept_chance(alpha)[0].item<double>();
    // Four deviations of a share of 200,000.
    const double deviation = std::sqrt(chance * (1 - chance) / draws);
    CHECK((z != 0).to(torch::kFloat64).mean().item<double>() == Approx(chance).margin(4 * deviation));
    CHECK((z == 1).any().item<bool>());
    CHECK(((z >= 0) & (z <= 1)).all().item<bool>());
    CHECK(expected_sparsity(alpha).item<double>() == Approx(1 - chance));
  }
}

TEST_CASE("gradients of masks and chances are those of small differences") {
  torch::manual_seed(2);
  const auto u = torch::rand({40}, torch::kFloat64) * 0.8 + 0.1;
  const auto start = torch::randn({40}, torch::kFloat64);
  constexpr double h = 1e-6;
  for (const bool sampled : {true, false}) {
    const auto of = [&](const torch::Tensor& alpha) {
      return (sampled ? sampled_mask(alpha, u) : kept_chance(alpha)) * torch::arange(40, torch::kFloat64);
    };
    auto alpha = start.clone().requires_grad_();
    of(alpha).sum().backward();
    const auto slope = (of(start + h) - of(start - h)) / (2 * h);
    CHECK((alpha.grad() - slope).abs().max().item<double>() < 1e-6);
  }
}

TEST_CASE("an evaluated mask drops the lowest numbers of each row, as many as asked for or expected") {
  const auto alpha = torch::tensor({{3.0, -1.0, 2.0, 0.0}, {0.5, 0.4, 0.3, 4.0}});
  const auto z = evaluated_mask(alpha, 2);
  CHECK(torch::equal(z == 0, torch::tensor({{false, true, false, true}, {false, true, true, false}})));
  CHECK(z[0][0].item<double>() == Approx(1 / (1 + std::exp(-3.0 * 0.8 * 1.5))));
  const auto expected = evaluated_mask(alpha);
  for (int64_t row = 0; row < 2; ++row)
    CHECK((expected[row] == 0).sum().item<int64_t>() ==
          static_cast<int64_t>(std::nearbyint(4 - kept_chance(alpha[row]).sum().item<double>())));
  CHECK(evaluated_mask(alpha[1], 0).ne(0).all().item<bool>());
}

TEST_CASE("the clamp of α leaves gradients in place") {
  auto alpha = torch::tensor({5.0, -9.0, 1.0}).requires_grad_();
  clamp_mask_parameter(alpha);
  CHECK(alpha[0].item<double>() == Approx(std::log(100.0)));
  CHECK(alpha[1].item<double>() == Approx(std::log(0.01)));
  kept_chance(alpha).sum().backward();
  CHECK((alpha.grad() > 0).all().item<bool>());
}

}  // namespace
}  // namespace attnlab::test
