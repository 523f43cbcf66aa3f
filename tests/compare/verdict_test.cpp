#include "compare/verdict.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "catch.h"
#include "compare/verdict_format.h"
#include "core/errors.h"
#include "finished_run.h"

namespace attnlab {
namespace {

struct Spec {
  std::string arm;
  int64_t arm_index = 0, seed = 0;
  double training_loss = 1, heldout_loss = 2, accuracy = 0.5;
  std::string sweep_point = "", experiment = "e";
};

RunRecord make_run(const Spec& spec) {
  RunRecord run = test::finished_run({.experiment = spec.experiment,
                                      .arm = spec.arm,
                                      .sweep_point = spec.sweep_point,
                                      .arm_index = spec.arm_index,
                                      .seed = spec.seed,
                                      .parameters_trainable = 70'000,
                                      .cached_numbers_per_token = 128,
                                      .flops_per_token = 6.1e6},
                                     20);
  for (int64_t step = 1; step <= 20; ++step)
    run.train.push_back({.step = step, .loss = step <= 10 ? 100.0 : spec.training_loss});
  run.evaluations.push_back(
      {.step = 10, .heldout_loss = 50, .heldout_tokens = 9, .accuracy = 1, .problems = 4});
  run.evaluations.push_back({.step = 20,
                             .heldout_loss = spec.heldout_loss,
                             .heldout_tokens = 9,
                             .accuracy = spec.accuracy,
                             .problems = 4});
  test::add_answers(run, 10, 4, 1);
  test::add_answers(run, 20, 4, spec.accuracy);
  return run;
}

// Arm b is 0.1, 0.2, 0.3 below arm a in held-out loss; a's own values vary far more.
std::vector<RunRecord> two_arms() {
  return {make_run({.arm = "b", .arm_index = 1, .seed = 0, .heldout_loss = 0.9}),
          make_run({.arm = "b", .arm_index = 1, .seed = 1, .heldout_loss = 4.8}),
          make_run({.arm = "b", .arm_index = 1, .seed = 2, .heldout_loss = 8.7}),
          make_run({.arm = "a", .seed = 0, .heldout_loss = 1}),
          make_run({.arm = "a", .seed = 1, .heldout_loss = 5}),
          make_run({.arm = "a", .seed = 2, .heldout_loss = 9})};
}

std::string only_warning(const VerdictTable& table) {
  REQUIRE(table.warnings.size() == 1);
  return table.warnings[0];
}

TEST_CASE("a run's metrics are its end") {
  RunRecord run = make_run({.arm = "a", .training_loss = 1.25, .heldout_loss = 2.5, .accuracy = 0.75});
  CHECK(metric_of(run, Metric::training_loss) == 1.25);  // the last ten rows only
  CHECK(metric_of(run, Metric::heldout_loss) == 2.5);
  CHECK(metric_of(run, Metric::accuracy) == 0.75);
  run.train.resize(2);
  CHECK(metric_of(run, Metric::training_loss) == 100);
  run.train.clear();
  run.evaluations.back().problems = 0;
  CHECK(std::isnan(metric_of(run, Metric::training_loss)));
  CHECK(std::isnan(metric_of(run, Metric::accuracy)));
  run.evaluations.clear();
  CHECK(std::isnan(metric_of(run, Metric::heldout_loss)));
}

TEST_CASE("differences are paired by seed, against the arm that the config names first") {
  const VerdictTable table = compare_arms(two_arms());
  CHECK(table.baseline == "a");
  REQUIRE(table.rows.size() == 2);
  CHECK(table.rows[0].arm == "a");
  CHECK(table.rows[0].is_baseline);
  CHECK(table.rows[0].value(Metric::heldout_loss).value == 5);
  const ArmSummary& b = table.rows[1];
  CHECK(b.runs == 3);
  CHECK(b.value(Metric::heldout_loss).value == Approx(4.8));
  const Interval& difference = b.difference(Metric::heldout_loss).difference;
  // Differences -0.1, -0.2, -0.3: mean -0.2, s = 0.1, t(0.975, 2) = 4.302652730
  CHECK(difference.value == Approx(-0.2));
  CHECK(difference.half_width() == Approx(4.30265273 * 0.1 / std::sqrt(3.0)));
  CHECK(verdict_of(difference) == Verdict::no_difference_shown);
  CHECK(b.difference(Metric::heldout_loss).p == Approx(0.0741799).epsilon(1e-5));
  CHECK(table.best.empty());
  CHECK(table.warnings.empty());
}

TEST_CASE("only seeds that both arms have are paired") {
  auto runs = two_arms();
  runs.push_back(make_run({.arm = "b", .arm_index = 1, .seed = 9, .heldout_loss = -100}));
  runs.erase(runs.begin());  // b lacks seed 0
  const VerdictTable table = compare_arms(runs);
  const ArmSummary& b = table.rows.at(1);
  CHECK(b.runs == 3);
  CHECK(b.difference(Metric::heldout_loss).difference.n == 2);
  CHECK(b.difference(Metric::heldout_loss).difference.value == Approx(-0.25));
}

TEST_CASE("another arm can be the baseline, and an unknown one is named with the nearest") {
  CHECK(compare_arms(two_arms(), "b").rows.at(0).difference(Metric::heldout_loss).difference.value ==
        Approx(0.2));
  auto runs = two_arms();
  for (auto& run : runs) run.header.arm = run.header.arm == "a" ? "gqa" : "mla_identity";
  CHECK_THROWS_WITH(compare_arms(runs, "mla_identiy"), ContainsSubstring("did you mean 'mla_identity'?") &&
                                                           ContainsSubstring("one of gqa, mla_identity"));
  CHECK_THROWS_AS(compare_arms({}), InputError);
}

TEST_CASE("unfinished and failed runs are left out and named") {
  auto runs = two_arms();
  runs[0].state = RunState::running;
  VerdictTable table = compare_arms(runs);
  CHECK(table.rows.at(1).runs == 2);
  CHECK_THAT(only_warning(table), ContainsSubstring("e/b//seed0.h5") && ContainsSubstring("running, step 20"));
  runs[0].state = RunState::failed;
  runs[0].message = "No space left on device";
  table = compare_arms(runs);
  CHECK_THAT(only_warning(table), ContainsSubstring("failed after step 20: No space left"));
  for (auto& run : runs) run.state = RunState::running;
  table = compare_arms(runs);
  CHECK(table.rows.empty());
  CHECK_THAT(format_verdict(table, TableStyle::text), ContainsSubstring("No run is finished yet."));
}

TEST_CASE("arms that train more than 5 % more or fewer parameters are named once") {
  auto runs = two_arms();
  for (size_t i = 0; i < 3; ++i) runs[i].header.parameters_trainable = 73'500;  // exactly 5 %
  CHECK(compare_arms(runs).warnings.empty());
  for (size_t i = 0; i < 3; ++i) runs[i].header.parameters_trainable = 77'000;
  CHECK(only_warning(compare_arms(runs)) == "b trains 10.0 % more parameters than a");
  for (size_t i = 0; i < 3; ++i) runs[i].header.parameters_trainable = 0;
  CHECK_THAT(only_warning(compare_arms(runs)), ContainsSubstring("100.0 % fewer"));
}

TEST_CASE("a diverged run leaves no interval and is named") {
  auto runs = two_arms();
  runs[0].train.back().loss = std::nan("");
  const VerdictTable table = compare_arms(runs);
  CHECK(std::isnan(table.rows.at(1).value(Metric::training_loss).value));
  CHECK(verdict_of(table.rows.at(1).difference(Metric::training_loss).difference) == Verdict::not_enough_runs);
  CHECK_THAT(only_warning(table), ContainsSubstring("not finite"));
}

TEST_CASE("the same file twice counts once, and another run of the same seed is left out") {
  auto runs = two_arms();
  const auto once = compare_arms(runs);
  runs.push_back(runs[0]);
  CHECK(format_verdict(compare_arms(runs), TableStyle::text) == format_verdict(once, TableStyle::text));
  runs.back().path = "copy/seed0.h5";
  CHECK_THAT(only_warning(compare_arms(runs)), ContainsSubstring("copy/seed0.h5 is left out"));
}

TEST_CASE("each sweep point is compared by itself, then each arm at its best") {
  std::vector<RunRecord> runs;
  for (int64_t seed = 0; seed < 3; ++seed) {
    const double shift = 0.1 * static_cast<double>(seed);
    runs.push_back(make_run({.arm = "a", .seed = seed, .heldout_loss = 3 + shift, .sweep_point = "lr=1"}));
    runs.push_back(make_run({.arm = "a", .seed = seed, .heldout_loss = 2 + shift, .sweep_point = "lr=2"}));
    runs.push_back(
        make_run({.arm = "b", .arm_index = 1, .seed = seed, .heldout_loss = 1 + shift, .sweep_point = "lr=1"}));
    runs.push_back(
        make_run({.arm = "b", .arm_index = 1, .seed = seed, .heldout_loss = 4 + shift, .sweep_point = "lr=2"}));
  }
  const VerdictTable table = compare_arms(runs);
  REQUIRE(table.rows.size() == 4);
  CHECK(table.rows[1].difference(Metric::heldout_loss).difference.value == Approx(-2));
  CHECK(table.rows[3].difference(Metric::heldout_loss).difference.value == Approx(2));
  REQUIRE(table.best.size() == 2);
  CHECK(table.best[0].sweep_point == "lr=2");
  CHECK(table.best[1].sweep_point == "lr=1");
  CHECK(table.best[1].difference(Metric::heldout_loss).difference.value == Approx(-1));
  const std::string text = format_verdict(table, TableStyle::text);
  CHECK_THAT(text, ContainsSubstring("\nlr=2:\n") && ContainsSubstring("best by held-out loss") &&
                       ContainsSubstring("b @ lr=1"));
}

TEST_CASE("arms of several experiments carry the experiment's name") {
  auto runs = two_arms();
  for (auto run : two_arms()) {
    run.header.experiment = "f";
    run.path = "f/" + run.path.string();
    runs.push_back(run);
  }
  const VerdictTable table = compare_arms(runs);
  std::vector<std::string> arms;
  for (const auto& row : table.rows) arms.push_back(row.arm);
  CHECK(arms == std::vector<std::string>{"e/a", "e/b", "f/a", "f/b"});
  CHECK(compare_arms(runs, "f/b").baseline == "f/b");
  CHECK(compare_arms(runs, "b").baseline == "e/b");
}

TEST_CASE("tables fit a terminal and are valid Markdown") {
  auto runs = two_arms();
  for (auto& run : runs) run.header.arm = run.header.arm == "a" ? "mla_identity" : "mla_orthogonal";
  for (auto& run : runs) run.header.sweep_point = run.header.seed == 0 ? "train.lr=0.0003" : "train.lr=0.001";
  const VerdictTable table = compare_arms(runs);
  std::istringstream text(format_verdict(table, TableStyle::text));
  for (std::string line; std::getline(text, line);) {
    INFO(line);
    CHECK(line.size() <= 125);  // bytes; "±" has two
  }
  std::istringstream markdown(format_verdict(table, TableStyle::markdown));
  int64_t bars = 0;
  for (std::string line; std::getline(markdown, line);) {
    if (line.empty() || line[0] != '|') {
      bars = 0;
      continue;
    }
    const int64_t found = std::count(line.begin(), line.end(), '|');
    CHECK((bars == 0 || found == bars));
    bars = found;
  }
}

TEST_CASE("the text shows values, spread, difference and word") {
  auto runs = two_arms();
  for (auto& run : runs) {
    const double noise = 0.001 * static_cast<double>(run.header.seed);
    run.evaluations.back().heldout_loss = (run.header.arm == "a" ? 2 : 1.5 - noise) + 0.1 * noise;
    run.evaluations.back().accuracy = 0.25;
    run.answers.clear();
    test::add_answers(run, 20, 4, 0.25);
  }
  const std::string text = format_verdict(compare_arms(runs), TableStyle::text);
  CHECK_THAT(text, ContainsSubstring("70.00k") && ContainsSubstring("6.10M") && ContainsSubstring("25.00 ["));
  CHECK_THAT(text, ContainsSubstring("-0.5010") && ContainsSubstring("lower") && ContainsSubstring("minus a"));
  CHECK_THAT(text, ContainsSubstring("accuracy, points") && ContainsSubstring("no difference shown"));
}

const ArmSummary& only_other(const VerdictTable& table) {
  REQUIRE(table.rows.size() == 2);
  return table.rows[1];
}

// Two arms with two seeds on 20 problems; b solves one more with each, c and d answer alike.
TEST_CASE("one problem more with each of two seeds is no certain difference in accuracy") {
  std::vector<RunRecord> runs;
  for (int64_t seed = 0; seed < 2; ++seed)
    for (int64_t arm = 0; arm < 2; ++arm) {
      RunRecord run = make_run({.arm = arm == 0 ? "a" : "b", .arm_index = arm, .seed = seed});
      run.answers.clear();
      run.evaluations.back().problems = 20;
      run.evaluations.back().accuracy = static_cast<double>(10 + seed + arm) / 20;
      test::add_answers(run, 20, 20, run.evaluations.back().accuracy);
      runs.push_back(std::move(run));
    }
  const PairedDifference found = only_other(compare_arms(runs)).difference(Metric::accuracy);
  CHECK(found.difference.value == Approx(0.05));
  CHECK(found.difference.n == 2);
  CHECK(found.difference.low < -0.05);
  CHECK(found.difference.high > 0.1);
  CHECK(found.p > 0.3);
  CHECK(verdict_of(found.difference) == Verdict::no_difference_shown);
  CHECK_THAT(format_verdict(compare_arms(runs), TableStyle::text),
             ContainsSubstring("accuracies over seeds and problems"));
}

TEST_CASE("arms that are alike in all seeds, or all right, claim no certainty") {
  std::vector<RunRecord> runs;
  for (int64_t seed = 0; seed < 3; ++seed) {
    const double luck = 0.01 * static_cast<double>(seed);
    runs.push_back(make_run({.arm = "a", .seed = seed, .heldout_loss = 2 + luck, .accuracy = 1}));
    runs.push_back(make_run({.arm = "b",
                             .arm_index = 1,
                             .seed = seed,
                             .training_loss = 1.5,
                             .heldout_loss = 2 + luck,
                             .accuracy = 1}));
  }
  const VerdictTable table = compare_arms(runs);
  const ArmSummary& b = only_other(table);
  CHECK(b.value(Metric::accuracy).value == 1);
  CHECK(b.value(Metric::accuracy).low < 0.9);
  CHECK(b.value(Metric::accuracy).high == 1);
  CHECK(b.difference(Metric::accuracy).difference.low < -0.1);
  CHECK(b.difference(Metric::accuracy).difference.high > 0.1);
  CHECK_FALSE(b.difference(Metric::heldout_loss).difference.has_ends());
  CHECK(verdict_of(b.difference(Metric::heldout_loss).difference) == Verdict::no_difference_shown);
  CHECK(verdict_of(b.difference(Metric::training_loss).difference) == Verdict::no_interval);
  CHECK(std::isnan(b.difference(Metric::training_loss).p));
  CHECK_THAT(format_verdict(table, TableStyle::text),
             ContainsSubstring("no interval") && ContainsSubstring("tell nothing of their scatter"));
}

TEST_CASE("accuracies without answers by problem have no interval, and that is said") {
  auto runs = two_arms();
  for (auto& run : runs) run.answers.clear();
  const VerdictTable table = compare_arms(runs);
  CHECK_FALSE(table.rows.at(1).value(Metric::accuracy).has_ends());
  CHECK_FALSE(table.rows.at(1).difference(Metric::accuracy).difference.has_ends());
  REQUIRE(table.warnings.size() == 2);
  CHECK_THAT(table.warnings[0], ContainsSubstring("do not tell which problems were solved"));
  runs.resize(1);
  CHECK_FALSE(compare_arms(runs).rows.at(0).value(Metric::accuracy).has_ends());
}

TEST_CASE("bytes of caches at one context have it in the note, those at several beside them") {
  VerdictTable table = compare_arms(two_arms());
  for (ArmSummary& row : table.rows) row.cache_context = 4096, row.cache_bytes = 5e6;
  CHECK(value_grid(table).lines.at(1).cells.at(4) == "5.00MB");
  CHECK_THAT(value_note(table), ContainsSubstring("bytes of one sequence's cache at 4096 tokens."));
  table.rows[0].cache_context = 1000;
  CHECK(value_grid(table).lines.at(0).cells.at(4) == "5.00MB at 1.00k");
  CHECK_THAT(value_note(table), !ContainsSubstring("4096"));
}

}  // namespace
}  // namespace attnlab
