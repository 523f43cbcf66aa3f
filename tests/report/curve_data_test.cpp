#include "report/curve_data.h"

#include "report/sample_results.h"
#include "stats/intervals.h"

using namespace attnlab;
using namespace attnlab::report;

namespace {

RunRecord run_of(const std::string& arm, int64_t index, int64_t seed, std::vector<double> losses) {
  RunRecord run;
  run.header.arm = arm;
  run.header.arm_index = index;
  run.header.seed = seed;
  run.header.experiment = "e";
  run.state = RunState::complete;
  run.path = arm + std::to_string(seed) + ".h5";
  for (size_t i = 0; i < losses.size(); ++i) {
    const auto step = static_cast<int64_t>(i + 1);
    run.train.push_back({.step = step, .tokens = 10 * step, .loss = losses[i]});
    run.evaluations.push_back({.step = step, .heldout_loss = 2 * losses[i], .heldout_tokens = 5});
  }
  return run;
}

}  // namespace

TEST_CASE("a curve is the mean over seeds with the lowest and the highest, at the steps that all have") {
  const auto experiments = group_runs({run_of("a", 0, 0, {1, 2, 3}), run_of("a", 0, 1, {3, 6})});
  const auto lines = training_curves(experiments[0].points[0], 1);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].seeds == 2);
  CHECK(lines[0].steps == std::vector<int64_t>{1, 2});
  CHECK(lines[0].tokens == std::vector<double>{10, 20});
  CHECK(lines[0].value.mean == std::vector<double>{2, 4});
  CHECK(lines[0].value.low == std::vector<double>{1, 2});
  CHECK(lines[0].value.high == std::vector<double>{3, 6});
  CHECK(lines[0].difference.mean.empty());
}

TEST_CASE("differences are to the first arm on the same seed, and one seed has no band") {
  const auto experiments =
      group_runs({run_of("b", 1, 0, {1.5, 2}), run_of("a", 0, 0, {1, 1}), run_of("a", 0, 1, {9, 9})});
  const auto lines = training_curves(experiments[0].points[0], 1);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].arm == "a");
  CHECK(lines[1].difference.mean == std::vector<double>{0.5, 1});
  CHECK(std::isnan(lines[1].difference.low[0]));
  CHECK(std::isnan(lines[1].value.low[0]));
}

TEST_CASE("held-out curves have Student's interval and the tokens trained until then") {
  const auto experiments = group_runs({run_of("a", 0, 0, {1, 2}), run_of("a", 0, 1, {2, 3})});
  const auto lines = heldout_curves(experiments[0].points[0]);
  REQUIRE(lines.size() == 1);
  const Interval expected = mean_interval(std::vector<double>{2, 4});
  CHECK(lines[0].value.mean[0] == expected.value);
  CHECK(lines[0].value.low[0] == expected.low);
  CHECK(lines[0].value.high[0] == expected.high);
  CHECK(lines[0].tokens[1] == 20);
}

TEST_CASE("the tokens of a step that was not logged lie between its neighbours") {
  RunRecord run = run_of("a", 0, 0, {1});
  run.train = {{.step = 10, .tokens = 100, .loss = 1}, {.step = 20, .tokens = 300, .loss = 1}};
  run.evaluations = {{.step = 0, .heldout_loss = 1, .heldout_tokens = 1},
                     {.step = 15, .heldout_loss = 1, .heldout_tokens = 1},
                     {.step = 99, .heldout_loss = 1, .heldout_tokens = 1}};
  const auto experiments = group_runs({run});
  CHECK(heldout_curves(experiments[0].points[0])[0].tokens == std::vector<double>{0, 200, 300});
}

TEST_CASE("a training loss is averaged over the rows around it, and steps that were not finite are left out") {
  const auto experiments = group_runs({run_of("a", 0, 0, {1, 2, 6, std::nan(""), 7})});
  const auto lines = training_curves(experiments[0].points[0], 3);
  CHECK(lines[0].steps == std::vector<int64_t>{2, 3});
  CHECK(lines[0].value.mean == std::vector<double>{3, 5});
}

TEST_CASE("a long curve is thinned to 400 points with both ends") {
  std::vector<double> losses(5000);
  for (size_t i = 0; i < losses.size(); ++i) losses[i] = static_cast<double>(i);
  const auto experiments = group_runs({run_of("a", 0, 0, losses)});
  const auto lines = training_curves(experiments[0].points[0], 1);
  CHECK(lines[0].steps.size() == most_points);
  CHECK(lines[0].steps.front() == 1);
  CHECK(lines[0].steps.back() == 5000);
  CHECK(spread_places(3, 5) == std::vector<size_t>{0, 1, 2});
  CHECK(smoothing_window(experiments[0].points[0]) == 125);
}

TEST_CASE("unfinished runs count only where no run of the experiment is finished") {
  RunRecord running = run_of("a", 0, 1, {1});
  running.state = RunState::running;
  const auto alone = group_runs({running});
  CHECK(alone[0].unfinished);
  REQUIRE(alone[0].points.size() == 1);
  const auto both = group_runs({run_of("a", 0, 0, {1}), running});
  CHECK_FALSE(both[0].unfinished);
  CHECK(both[0].points[0].arms[0].runs.size() == 1);
}

TEST_CASE("a run that is given twice counts once, and arms stand in the config's order") {
  const auto experiments = group_runs({run_of("z", 0, 0, {1}), run_of("b", 1, 0, {1}), run_of("z", 0, 0, {1})});
  REQUIRE(experiments.size() == 1);
  CHECK(experiments[0].runs.size() == 2);
  CHECK(experiments[0].arms == std::vector<std::string>{"z", "b"});
}
