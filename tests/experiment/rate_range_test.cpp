#include "experiment/rates/rate_range.h"

#include <cmath>
#include <limits>
#include <sstream>

#include "catch.h"
#include "tiny_experiment.h"

namespace attnlab {
namespace {

TEST_CASE("rates of the range test rise by equal factors") {
  CHECK(range_rate(1) == Approx(1e-6));
  CHECK(range_rate(range_steps) == Approx(1));
  for (int64_t step = 2; step < range_steps; ++step)
    CHECK(range_rate(step + 1) / range_rate(step) == Approx(range_rate(2) / range_rate(1)));
}

TEST_CASE("the range test suggests a tenth of the rate with the lowest smoothed loss") {
  const auto range = read_range({1, 2, 3, 4}, {4, 2, 2, 10});
  // (0.9 · 4 + 2) / 1.9, (0.9 · 5.6 + 2) / 2.71, (0.9 · 7.04 + 10) / 3.439
  CHECK(range.smoothed[0] == Approx(4));
  CHECK(range.smoothed[1] == Approx(5.6 / 1.9));
  CHECK(range.smoothed[2] == Approx(7.04 / 2.71));
  CHECK(range.smoothed[3] == Approx(16.336 / 3.439));
  CHECK(range.lowest_at == 3);
  CHECK(range.suggestion == Approx(0.3));
  CHECK(read_range({1, 2}, {3, std::nan("")}).lowest_at == 1);
}

TEST_CASE("the range test ends where the loss has blown up") {
  CHECK_FALSE(has_blown_up({}));
  CHECK_FALSE(has_blown_up({4, 3, 5.9}));
  CHECK(has_blown_up({4, 3, 6.1}));
  CHECK(has_blown_up({4, std::nan("")}));
  CHECK(has_blown_up({4, std::numeric_limits<double>::infinity()}));
}

TEST_CASE("the option --lr-range-test tests each arm and leaves no run") {
  const test::TinyExperiment experiment;
  const auto outcome = experiment.run("--lr-range-test --set seeds=[0,1]");
  INFO(outcome.output);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.output,
             ContainsSubstring("gqa") && ContainsSubstring("orthogonal") && ContainsSubstring("suggestion"));
  CHECK_FALSE(std::filesystem::exists(experiment.file("gqa")));
  for (const char* arm : {"gqa", "orthogonal"}) {
    std::istringstream csv(read_file(experiment.out / arm / "lr_range.csv"));
    std::string line;
    std::getline(csv, line);
    CHECK(line == "step,learning_rate,loss,smoothed_loss");
    int64_t rows = 0;
    while (std::getline(csv, line)) ++rows;
    CHECK(rows > 50);  // nothing blows up below 1e-3
    CHECK(rows <= range_steps);
  }
}

}  // namespace
}  // namespace attnlab
