// Directions between two vectors, and which tokens are kept.
#include "state/minicache.h"

#include <cmath>

#include "catch.h"

namespace attnlab::test {
namespace {

TEST_CASE("equal vectors are read back exactly, whatever the place between them") {
  torch::manual_seed(5);
  const auto a = torch::randn({7, 12}, torch::kFloat64);
  for (const double t : {0.0, 0.3, 0.6, 1.0}) {
    const auto merged = merge_tokens(a, a, t);
    CHECK(torch::allclose(read_merged(merged.direction, merged.norm_a), a, 1e-12, 1e-12));
    CHECK(torch::allclose(read_merged(merged.direction, merged.norm_b), a, 1e-12, 1e-12));
  }
}

TEST_CASE("a direction lies on the arc at its share of the angle, and lengths stay") {
  torch::manual_seed(6);
  const auto a = torch::randn({9, 5}, torch::kFloat64), b = torch::randn({9, 5}, torch::kFloat64);
  const auto merged = merge_tokens(a, b, 0.6);
  CHECK(torch::allclose(merged.direction.norm(2, -1), torch::ones({9}, torch::kFloat64)));
  const auto from_a = (merged.direction * a).sum(-1) / a.norm(2, -1);
  CHECK(torch::allclose(from_a.acos(), 0.6 * merged.angle, 1e-9, 1e-9));
  CHECK(torch::allclose(read_merged(merged.direction, merged.norm_b).norm(2, -1), b.norm(2, -1)));
}

TEST_CASE("opposite vectors have no direction between them and are kept, zeros have direction zero") {
  const auto a = torch::tensor({{1.0, 2.0}, {0.0, 0.0}}, torch::kFloat64);
  const auto b = torch::tensor({{-1.0, -2.0}, {3.0, 4.0}}, torch::kFloat64);
  const auto merged = merge_tokens(a, b, 0.6);
  CHECK(merged.opposite[0].item<bool>());
  CHECK_FALSE(merged.opposite[1].item<bool>());
  CHECK(retained(merged, torch::full({1}, 10.0, torch::kFloat64), RetainRule::far)[0].item<bool>());
  CHECK(torch::isfinite(merged.direction).all().item<bool>());
  CHECK(merged.norm_a[1].item<double>() == 0);
}

TEST_CASE("the bound is a share of the range below the largest angle, or above the least, of what counts") {
  const auto angle = torch::tensor({{0.1, 0.2, 0.9, 5.0}}, torch::kFloat64);
  const auto counted = torch::tensor({true, true, true, false}).unsqueeze(0);
  CHECK(retain_bound(angle, counted, 0.25, RetainRule::far).item<double>() == Approx(0.7));
  CHECK(retain_bound(angle, counted, 0.25, RetainRule::near).item<double>() == Approx(0.3));
}

}  // namespace
}  // namespace attnlab::test
