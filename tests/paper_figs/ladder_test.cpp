// recovery and ladder: the numbers in their CSV.
#include "csv.h"
#include "figure_inputs.h"
#include "stats/recovery.h"

using namespace attnlab;
using test::make_figures;
using test::number;

namespace fs = std::filesystem;

TEST_CASE("recovery shows the tokens until an arm has its share of the base") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_experiment(folder.path());
  const auto called = make_figures(folder.path().string() + " --only recovery");
  INFO(called.err);
  REQUIRE(called.status == 0);
  const auto rows = test::read_csv(folder.path() / "figures" / "recovery.csv");
  REQUIRE(rows.size() == 2 * 2 * 2);  // measures, shares, arms
  for (const auto& row : rows) {
    if (row.at("measure") != "held-out loss" || row.at("arm") != "mla_identity") continue;
    std::vector<RecoveryCurve> seeds;
    for (int64_t seed = 0; seed < 3; ++seed) {
      const test::SampleRun base{.arm = "gqa", .seed = seed},
          own{.arm = "mla_identity", .arm_index = 1, .seed = seed};
      RecoveryCurve curve{.points = {}, .base = test::evaluation_row(base, 60).heldout_loss};
      for (const int64_t step : {0, 20, 40, 60})
        curve.points.push_back({.tokens = 4096.0 * static_cast<double>(step),
                                .value = test::evaluation_row(own, step).heldout_loss});
      seeds.push_back(curve);
    }
    const auto time = time_to_recover(seeds, RecoveryOf::gap, number(row, "share"));
    CHECK(number(row, "tokens") == Approx(time.tokens.value));
    CHECK(number(row, "low") == Approx(time.tokens.low));
    CHECK(number(row, "reached") == Approx(time.reached));
    CHECK(number(row, "bytes_per_token") == 4 * 128);
  }
}

TEST_CASE("a ladder takes rungs of a sweep of steps, and of several experiments") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  for (const int64_t steps : {20, 40, 60})
    test::write_experiment(
        folder.path() / "a",
        {.steps = steps, .sweep_point = "steps=" + std::to_string(steps), .experiment = "a"});
  test::write_experiment(folder.path() / "b", {.steps = 80, .experiment = "b"});
  const auto called =
      make_figures(folder.path().string() + " --only ladder --out " + (folder.path() / "f").string());
  INFO(called.err);
  REQUIRE(called.status == 0);
  const auto rows = test::read_csv(folder.path() / "f" / "ladder.csv");
  CHECK(rows.size() == 3 * (4 + 1));  // arms, rungs and the next one
  for (const auto& row : rows) {
    if (row.at("arm") == "gqa") CHECK(number(row, "multiplier") == 1);
    if (row.at("arm") != "gqa") CHECK(number(row, "multiplier") > 1);  // the sample's later arms end lower
    CHECK(number(row, "flips_at_next") >= 0);
    if (row.at("seeds") == "0") CHECK(number(row, "tokens") > 80 * 4096);
  }
  CHECK(fs::exists(folder.path() / "f" / "ladder_multiplier.png"));
}

TEST_CASE("a ladder without rungs, and a recovery without a start, say what they lack") {
  const test::TemporaryFolder folder;
  test::write_experiment(folder.path(), {.at_start = false});
  CHECK_THAT(make_figures(folder.path().string() + " --only ladder").err,
             ContainsSubstring("two or more sizes"));
  CHECK_THAT(make_figures(folder.path().string() + " --only recovery").err,
             ContainsSubstring("evaluated before its training"));
}
