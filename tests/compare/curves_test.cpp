#include <algorithm>
#include <cmath>

#include "catch.h"
#include "compare/curve_comparison.h"
#include "compare/curve_plot.h"
#include "compare/curve_tables.h"
#include "core/errors.h"
#include "results/evaluation_file.h"
#include "sample_curves.h"

namespace attnlab {
namespace {

using test::curve_run;
using test::curve_runs;

TEST_CASE("curves are linear between their rows and nothing beyond them") {
  const Series series{.x = {1, 3, 4}, .y = {10, 20, 0}};
  CHECK(value_at(series, 1) == 10);
  CHECK(value_at(series, 2) == 15);
  CHECK(value_at(series, 3.75) == 5);
  CHECK(value_at(series, 4) == 0);
  CHECK_FALSE(value_at(series, 0.999));
  CHECK_FALSE(value_at(series, 4.001));
  CHECK_FALSE(value_at({}, 1));
}

TEST_CASE("a moving mean takes whole windows only, and moves the places with the values") {
  const Series series{.x = {1, 2, 4, 8}, .y = {3, 6, 0, 9}};
  const Series means = moving_mean(series, 3);
  CHECK(means.x == std::vector<double>{7.0 / 3, 14.0 / 3});
  CHECK(means.y == std::vector<double>{3, 5});
  CHECK(moving_mean(series, 1).y == series.y);
  CHECK(moving_mean(series, 5).x.empty());
}

TEST_CASE("each axis has its own places, and a step between two rows lies between theirs") {
  const RunRecord run = curve_run({});
  CHECK(axis_value(run, run.train[3], Axis::steps) == 4);
  CHECK(axis_value(run, run.train[3], Axis::tokens) == 400);
  CHECK(axis_value(run, run.train[3], Axis::seconds) == 2);
  CHECK(axis_value(run, run.train[3], Axis::flops) == 400 * 10 * 3);
  CHECK(axis_value(run, 0, Axis::tokens) == 0);
  RunRecord sparse = run;
  sparse.train = {run.train[9], run.train[19]};
  CHECK(axis_value(sparse, 5, Axis::tokens) == 500);
  CHECK(axis_value(sparse, 13, Axis::seconds) == 6.5);
  CHECK_FALSE(axis_value(sparse, 21, Axis::tokens));
}

TEST_CASE("differences are taken on the same seed at the same place") {
  const auto runs = curve_runs();
  const CurveComparison curves = compare_curves(runs, "loss", {});
  CHECK(curves.window == 1);
  CHECK(curves.baseline == "a");
  REQUIRE(curves.curves.size() == 2);
  CHECK(mean_at(curves.curves[0], 10).value == Approx(1.15));
  const Interval difference = difference_at(curves.curves[1], curves.curves[0], 10);
  CHECK(difference.value == Approx(-0.15));
  // Differences -0.1 and -0.2: s = 0.0707, t(0.975, 1) = 12.7062
  CHECK(difference.half_width() == Approx(12.7062047 * 0.1 / 2));
  CHECK(std::isnan(mean_at(curves.curves[0], 21).value));
  CHECK(compare_curves(runs, "loss", {.baseline = "b"}).baseline == "b");
}

TEST_CASE("aligned by cost a cheaper arm ends earlier, and is compared no further") {
  std::vector<RunRecord> runs;
  for (int64_t seed = 0; seed < 2; ++seed) {
    runs.push_back(curve_run({.arm = "a", .seed = seed}));
    runs.push_back(curve_run({.arm = "b", .arm_index = 1, .seed = seed, .flops_per_token = 5}));
  }
  const CurveComparison curves = compare_curves(runs, "loss", {.axis = Axis::flops});
  CHECK(curves.curves[0].last == 60'000);
  CHECK(curves.curves[1].last == 30'000);
  // Of equal loss by step, b has twice the steps at equal FLOPs.
  CHECK(difference_at(curves.curves[1], curves.curves[0], 30'000).value == Approx(-0.1));
  CHECK(std::isnan(difference_at(curves.curves[1], curves.curves[0], 31'000).value));
  const auto places = table_places(curves, "");
  CHECK(std::count(places.begin(), places.end(), 30'000) == 1);
  CHECK(places.back() == 60'000);
  CHECK(places.size() <= 11);
}

TEST_CASE("evaluations lie where their step lies on the axis") {
  const auto runs = curve_runs();
  const CurveComparison curves = compare_curves(runs, "heldout", {.axis = Axis::seconds});
  CHECK(curves.curves[0].by_seed.at(0).x == std::vector<double>{0, 5, 10});
  CHECK(curves.curves[0].by_seed.at(0).y == std::vector<double>{2, 1.9, 1.8});
  CHECK(compare_curves(runs, "accuracy", {}).curves[1].by_seed.at(0).y == std::vector<double>{25, 25, 25});
}

TEST_CASE("a run that goes on is shown in the tables with what it has, and named") {
  auto runs = curve_runs();
  runs[3] = curve_run({.arm = "b", .arm_index = 1, .seed = 1, .steps = 7, .state = RunState::running});
  const CurveComparison curves = compare_curves(runs, "loss", {});
  CHECK(curves.curves[1].by_seed.size() == 2);
  CHECK(curves.curves[1].drawn == std::vector<int64_t>{0});
  CHECK(mean_at(curves.curves[1], 7).n == 2);
  CHECK(mean_at(curves.curves[1], 8).n == 1);
  REQUIRE(!curves.notes.empty());
  CHECK(curves.notes[0] == "e/b//seed1.h5: running, step 7 of 20");
  const std::string text = format_comparison(curves, TableStyle::text, {});
  CHECK_THAT(text, ContainsSubstring("running, step 7 of 20") && ContainsSubstring("b, n=2") &&
                       ContainsSubstring("B b, n=1"));
  for (auto& run : runs) run.state = RunState::running;
  CHECK(compare_curves(runs, "loss", {}).curves[1].drawn.size() == 2);
}

TEST_CASE("a failed run is left out unless it is asked for") {
  auto runs = curve_runs();
  runs[3].state = RunState::failed;
  runs[3].message = "disk full";
  const CurveComparison curves = compare_curves(runs, "loss", {});
  CHECK(curves.curves[1].by_seed.size() == 1);
  CHECK_THAT(curves.notes.at(0), ContainsSubstring("seed1.h5 is left out: failed after step 20: disk full"));
  CHECK(compare_curves(runs, "loss", {.failed = true}).curves[1].by_seed.size() == 2);
}

TEST_CASE("the training loss is smoothed by a fortieth of the rows of the shortest complete run") {
  std::vector<RunRecord> runs{curve_run({.steps = 160}), curve_run({.seed = 1, .steps = 400}),
                              curve_run({.seed = 2, .steps = 3, .state = RunState::running})};
  const CurveComparison curves = compare_curves(runs, "loss", {});
  CHECK(curves.window == 5);
  CHECK_THAT(curves.notes.back(), ContainsSubstring("seed2.h5 is left out: it has fewer than 5 rows"));
  CHECK(compare_curves(runs, "heldout", {}).window == 1);
  CHECK(compare_curves(runs, "loss", {.smooth = 2}).curves[0].by_seed.at(0).x.front() == 1.5);
}

TEST_CASE("each sweep point has its own tables and drawing") {
  std::vector<RunRecord> runs;
  for (const char* point : {"train.lr=1", "train.lr=2"}) {
    runs.push_back(curve_run({.arm = "a", .sweep_point = point}));
    runs.push_back(curve_run({.arm = "b", .arm_index = 1, .sweep_point = point}));
  }
  const CurveComparison curves = compare_curves(runs, "loss", {});
  CHECK(curves.points == std::vector<std::string>{"train.lr=1", "train.lr=2"});
  CHECK(curves.at_point("train.lr=2").size() == 2);
  CHECK_THAT(format_comparison(curves, TableStyle::markdown, {}),
             ContainsSubstring("\ntrain.lr=1:\n```\n") && ContainsSubstring("| minus a | b, n=1 |"));
}

TEST_CASE("tasks are known by the label of their evaluations, and an unknown metric names the nearest") {
  const test::TemporaryFolder folder;
  auto runs = curve_runs();
  for (auto& run : runs) run.path = folder.path() / run.path;
  for (const int64_t step : {10, 20}) {
    const double x = static_cast<double>(step);
    write_evaluation(tasks_file(runs[0].path, step),
                     {.scores = {{.task = "gsm8k", .protocol = "strict", .metric = "accuracy", .value = x / 40},
                                 {.task = "gsm8k", .protocol = "flexible", .metric = "accuracy", .value = 0.5},
                                 {.task = "text", .metric = "word_perplexity", .value = 7 + x}}});
  }
  const auto y = [&](const char* name) { return compare_curves(runs, name, {}).curves.at(0).by_seed.at(0).y; };
  CHECK(y("gsm8k") == std::vector<double>{25, 50});
  CHECK(y("gsm8k/flexible") == std::vector<double>{50, 50});
  CHECK(y("gsm8k/strict/accuracy") == std::vector<double>{25, 50});
  CHECK(y("text") == std::vector<double>{17, 27});
  CHECK_THROWS_WITH(compare_curves(runs, "gsm8", {}),
                    ContainsSubstring("--metric: found 'gsm8' (did you mean 'gsm8k'?), expected one of "));
  CHECK_THROWS_WITH(compare_curves(runs, "los", {}), ContainsSubstring("did you mean 'loss'?"));
}

TEST_CASE("what cannot be compared is refused") {
  auto runs = curve_runs();
  CHECK_THROWS_AS(compare_curves({}, "loss", {}), InputError);
  CHECK_THROWS_WITH(compare_curves(runs, "loss", {.baseline = "c"}), ContainsSubstring("--baseline"));
  CHECK_THROWS_WITH(compare_curves(runs, "loss", {.smooth = 21}),
                    ContainsSubstring("--smooth: found 21, expected at most the rows that a run has"));
  for (auto& run : runs) run.evaluations.clear();
  CHECK_THROWS_WITH(compare_curves(runs, "heldout", {}),
                    ContainsSubstring("found no run with a value of 'heldout'"));
}

TEST_CASE("evaluations at no common place of the axis are said to compare nothing") {
  std::vector<RunRecord> runs{curve_run({.arm = "a"}), curve_run({.arm = "b", .arm_index = 1})};
  for (auto& run : runs) run.evaluations = {run.evaluations.back()};
  runs[1].header.flops_per_token = 11;
  CHECK_THAT(compare_curves(runs, "heldout", {.axis = Axis::flops}).notes.at(0),
             ContainsSubstring("no place on this axis has values of all arms"));
  CHECK(compare_curves(runs, "heldout", {}).notes.empty());
}

TEST_CASE("intervals of accuracy curves know of the problems, between evaluations, too") {
  auto runs = test::curve_runs();
  for (auto& run : runs)  // b solves one problem more with each seed
    if (run.header.arm == "b") {
      run.answers.clear();
      for (auto& row : run.evaluations) {
        row.accuracy = 0.5;
        test::add_answers(run, row.step, 4, 0.5);
      }
    }
  const CurveComparison found = compare_curves(runs, "accuracy", {});
  const auto arms = found.at_point("");
  REQUIRE(arms.size() == 2);
  for (const double x : {10.0, 14.0}) {
    const Interval difference = difference_at(*arms[1], *arms[0], x);
    CHECK(difference.value == Approx(25));
    CHECK(difference.low < -10);
    CHECK(difference.high > 50);
    CHECK(mean_at(*arms[1], x).half_width() > 10);
  }
  for (auto& run : runs) run.answers.clear();
  const CurveComparison unknown = compare_curves(runs, "accuracy", {});
  CHECK_FALSE(difference_at(*unknown.at_point("")[1], *unknown.at_point("")[0], 10).has_ends());
}

}  // namespace
}  // namespace attnlab
