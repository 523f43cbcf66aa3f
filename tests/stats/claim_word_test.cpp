#include "stats/claim_word.h"

#include "support.h"

namespace attnlab {
namespace {

using enum ClaimDirection;
using enum ClaimWord;

// With 1 the smallest difference that matters.
ClaimWord word(ClaimDirection claimed, double low, double high) {
  return claim_word({.value = (low + high) / 2, .low = low, .high = high, .n = 5}, claimed, 1);
}

TEST_CASE("a claim of a lower value") {
  CHECK(word(lower, -3, -0.1) == supported);
  CHECK(word(lower, -0.9, 3) == refuted);  // a difference that matters is excluded
  CHECK(word(lower, 0.1, 3) == refuted);
  CHECK(word(lower, -3, 0.1) == inconclusive);
  CHECK(word(lower, -0.9, -0.1) == equivalent);  // shown, but too small to matter
}

TEST_CASE("a claim of a higher value is its mirror") {
  for (const auto& [low, high] : {std::pair{-3.0, -0.1}, {-0.9, 3.0}, {0.1, 3.0}, {-3.0, 0.1}, {-0.9, -0.1}})
    CHECK(word(higher, -high, -low) == word(lower, low, high));
}

TEST_CASE("a claim of no more than what matters") {
  CHECK(word(not_higher, -3, 0.9) == supported);
  CHECK(word(not_higher, -0.5, 0.5) == supported);
  CHECK(word(not_higher, 0.5, 3) == inconclusive);
  CHECK(word(not_higher, 1.1, 3) == refuted);
  CHECK(word(not_lower, -0.9, 3) == supported);
  CHECK(word(not_lower, -3, -1.1) == refuted);
}

TEST_CASE("a claim of equality") {
  CHECK(word(equal, -0.9, 0.9) == equivalent);
  CHECK(word(equal, 1.1, 2) == refuted);
  CHECK(word(equal, -2, -1.1) == refuted);
  CHECK(word(equal, 0.5, 2) == inconclusive);
}

TEST_CASE("without an interval nothing is concluded") {
  CHECK(claim_word({.value = -5, .n = 1}, lower, 1) == inconclusive);
  CHECK(test::aborts([] { claim_word({}, lower, 0); }));
}

}  // namespace
}  // namespace attnlab
