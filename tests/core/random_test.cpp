#include "core/random.h"

#include <set>

#include "catch.h"
#include "core/progress.h"

using namespace attnlab;

TEST_CASE("SplitMix64 gives the published first outputs for seed 0") {
  // Reference values of the public-domain splitmix64.c for the state sequence 0, +gamma, …
  CHECK(mix64(0) == 0xe220a8397b1dcdafULL);
  CHECK(mix64(0x9e3779b97f4a7c15ULL) == 0x6e789e6aa1b965f4ULL);
}

TEST_CASE("between stays in its range and reaches both ends") {
  Random random(7);
  std::set<int64_t> seen;
  for (int i = 0; i < 500; ++i) seen.insert(random.between(-2, 3));
  CHECK(seen == std::set<int64_t>{-2, -1, 0, 1, 2, 3});
}

TEST_CASE("streams of one seed differ, the same stream repeats") {
  Random a(1, 0), b(1, 1), c(1, 0);
  const auto first = a.next();
  CHECK(first == c.next());
  CHECK(first != b.next());
}

TEST_CASE("a permutation holds every index once and depends on the seed") {
  const auto order = permutation(100, 3);
  CHECK(std::set<int64_t>(order.begin(), order.end()).size() == 100);
  CHECK(order != permutation(100, 4));
  CHECK(order == permutation(100, 3));
}

TEST_CASE("durations and counts read well") {
  CHECK(format_duration(59.4) == "59s");
  CHECK(format_duration(185) == "3m05s");
  CHECK(format_duration(7620) == "2h07m");
  CHECK(format_count(1234567) == "1.23M");
  CHECK(format_count(12) == "12");
}
