// Shares of a mixture's parts.
#include "prune/domain_weights.h"

#include <cmath>
#include <numeric>

#include "catch.h"

namespace attnlab::test {
namespace {

TEST_CASE("a part that is behind its reference gains weight, one that is ahead loses it") {
  const std::vector<double> weights{0.5, 0.3, 0.2}, losses{2.0, 1.5, 3.0}, references{2.0, 2.0, 2.0};
  for (const auto update : {DomainUpdate::doremi, DomainUpdate::bandit}) {
    const auto after = updated_weights(update, weights, losses, references);
    CHECK(std::accumulate(after.begin(), after.end(), 0.0) == Approx(1));
    CHECK(after[2] > weights[2]);
  }
  const auto after = updated_weights(DomainUpdate::doremi, weights, losses, references);
  CHECK(after[1] < weights[1]);
  // Before smoothing, ratios move by e to the differences.
  CHECK(after[2] / after[0] == Approx(0.2 / 0.5 * std::exp(1.0)).epsilon(1e-3));
  CHECK(updated_weights(DomainUpdate::constant, weights, losses, references) == weights);
}

TEST_CASE("no part vanishes, however large the differences") {
  const auto after = updated_weights(DomainUpdate::doremi, {0.5, 0.5}, {0, 900}, {0, 0});
  CHECK(after[0] == Approx(0.5e-4));
  CHECK(after[1] == Approx(1 - 0.5e-4));
}

}  // namespace
}  // namespace attnlab::test
