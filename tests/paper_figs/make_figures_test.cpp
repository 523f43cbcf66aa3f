#include <algorithm>
#include <set>

#include "compare/answers.h"
#include "core/files.h"
#include "core/names.h"
#include "csv.h"
#include "figure.h"
#include "figure_inputs.h"
#include "results/measurements.h"
#include "run_set.h"
#include "stats/intervals.h"

using namespace attnlab;
using test::make_figures;
using test::number;

namespace {

namespace fs = std::filesystem;

using test::near;

// What the files say of one arm at one step, by seed.
template <class Value>
std::vector<double> over_seeds(const fs::path& results, const std::string& arm, Value value) {
  std::vector<double> values;
  for (const RunRecord& run : read_runs(results / arm)) values.push_back(value(run));
  return values;
}

void check_interval(const test::CsvRow& row, const std::string& mean, const std::string& low,
                    const std::string& high, const std::vector<double>& values) {
  const Interval expected = mean_interval(values);
  CHECK(near(number(row, mean), expected.value));
  CHECK(near(number(row, low), expected.low));
  CHECK(near(number(row, high), expected.high));
}

}  // namespace

TEST_CASE("every figure comes in every format, and drawing it again gives the same bytes") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_experiment(folder.path());
  const test::Called called = make_figures(folder.path().string());
  REQUIRE(called.status == 0);
  for (const char* name : {"training_loss", "heldout_loss", "accuracy"})
    CHECK(called.err.find(std::string(name) + " skipped") == std::string::npos);
  const auto figures = folder.path() / "figures";
  CHECK(called.out == figures.string() +
                          ": 7 figures (training_loss, heldout_loss, accuracy, ablation, accuracy_cache, "
                          "loss_flops, recovery) as png, pdf, svg and csv\n" +
                          figures.string() + ": 3 tables (table_1, table_3, table_5) as md, tex and csv\n");
  CHECK(make_figures(folder.path().string() + " --only accuracy").out ==
        join({(figures / "accuracy.png").string(), (figures / "accuracy.pdf").string(),
              (figures / "accuracy.svg").string(), (figures / "accuracy.csv\n").string()},
             "\n"));
  std::map<std::string, std::string> bytes;
  for (const char* name : {"training_loss", "heldout_loss", "accuracy"})
    for (const char* format : {"png", "pdf", "svg", "csv"}) {
      const auto path = figures / (std::string(name) + "." + format);
      bytes[path.string()] = read_file(path);
    }
  for (const auto& [path, content] : bytes) {
    INFO(path);
    const std::string start = content.substr(0, 8);
    if (path.ends_with("png")) CHECK(start == "\x89PNG\r\n\x1a\n");
    if (path.ends_with("pdf")) CHECK(start.substr(0, 5) == "%PDF-");
    if (!path.ends_with("svg")) continue;
    // Texts of the picture: names of all arms, and what is on the axes.
    for (const char* text : {"gqa", "mla_identity", "mla_orthogonal", "n = 3 seeds"})
      CHECK_THAT(content, ContainsSubstring(text));
    CHECK_THAT(content, ContainsSubstring(path.find("accuracy") != std::string::npos ? "solved (%)"
                                                                                     : "loss (nats/token)"));
  }
  REQUIRE(make_figures(folder.path().string()).status == 0);
  for (const auto& [path, content] : bytes) CHECK(read_file(path) == content);
}

TEST_CASE("the training loss shown is mean and range over the files' seeds, and the paired difference") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_experiment(folder.path(), {.steps = 60});
  REQUIRE(make_figures(folder.path().string() + " --only training_loss").status == 0);
  const auto rows = test::read_csv(folder.path() / "figures" / "training_loss.csv");
  CHECK(rows.size() == 3 * 60);
  for (const int64_t step : {1, 37, 60}) {
    const auto loss = [&](const RunRecord& run) { return run.train.at(static_cast<size_t>(step - 1)).loss; };
    const auto ours = over_seeds(folder.path(), "mla_orthogonal", loss);
    const auto first = over_seeds(folder.path(), "gqa", loss);
    REQUIRE(ours.size() == 3);
    const auto row = test::row_of(rows, "mla_orthogonal", std::to_string(step));
    CHECK(row.at("seeds") == "3");
    CHECK(near(number(row, "mean"), (ours[0] + ours[1] + ours[2]) / 3));
    CHECK(near(number(row, "low"), *std::min_element(ours.begin(), ours.end())));
    CHECK(near(number(row, "high"), *std::max_element(ours.begin(), ours.end())));
    CHECK(near(number(row, "difference"), (ours[0] - first[0] + ours[1] - first[1] + ours[2] - first[2]) / 3));
    CHECK(test::row_of(rows, "gqa", std::to_string(step)).at("difference").empty());
  }
}

TEST_CASE("long runs are smoothed by a centred moving mean, which the caption tells") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_run(folder.path(), {.steps = 240, .evaluate_every = 240});
  REQUIRE(make_figures(folder.path().string() + " --only training_loss").status == 0);
  const auto rows = test::read_csv(folder.path() / "figures" / "training_loss.csv");
  const RunRecord run = read_runs(folder.path()).front();
  double sum = 0;
  for (size_t step = 97; step <= 103; ++step) sum += run.train.at(step - 1).loss;
  CHECK(near(number(test::row_of(rows, "gqa", "100"), "mean"), sum / 7));
  CHECK(rows.size() == 240 - 6);
  CHECK_THAT(read_file(folder.path() / "figures" / "training_loss.svg"),
             ContainsSubstring("moving mean of 7 rows"));
}

TEST_CASE("held-out loss and accuracy are shown with their intervals over seeds") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_experiment(folder.path(), {.steps = 60, .evaluate_every = 20});
  REQUIRE(make_figures(folder.path().string()).status == 0);
  const auto losses = test::read_csv(folder.path() / "figures" / "heldout_loss.csv");
  const auto bars = test::read_csv(folder.path() / "figures" / "accuracy.csv");
  CHECK(losses.size() == 3 * 4);
  CHECK(bars.size() == 3);
  for (const std::string arm : {"gqa", "mla_identity", "mla_orthogonal"}) {
    const auto loss = [](const RunRecord& run) { return run.evaluations.at(2).heldout_loss; };
    const auto values = over_seeds(folder.path(), arm, loss);
    const auto row = test::row_of(losses, arm, "40");
    check_interval(row, "mean", "low", "high", values);
    if (arm != "gqa") {
      std::vector<double> differences = over_seeds(folder.path(), "gqa", loss);
      for (size_t i = 0; i < values.size(); ++i) differences[i] = values[i] - differences[i];
      check_interval(row, "difference", "difference_low", "difference_high", differences);
    }
    const auto bar = test::row_of(bars, arm);
    CHECK(bar.at("problems") == "200");
    AnswersBySeed answers;
    for (const RunRecord& run : read_runs(folder.path() / arm)) answers[run.header.seed] = last_answers(run);
    const Interval expected = share_right(answers);
    CHECK(near(number(bar, "accuracy_percent"), 100 * expected.value));
    CHECK(near(number(bar, "low"), 100 * expected.low));
    CHECK(near(number(bar, "high"), 100 * expected.high));
    const auto before = over_seeds(folder.path(), arm,
                                   [](const RunRecord& run) { return 100 * run.evaluations.front().accuracy; });
    CHECK(near(number(bar, "before_training_percent"), (before[0] + before[1] + before[2]) / 3));
  }
}

TEST_CASE("arms whose held-out loss is known at one step stand side by side at that step") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_experiment(folder.path(), {.steps = 60, .evaluate_every = 60, .at_start = false});
  REQUIRE(make_figures(folder.path().string() + " --only heldout_loss").status == 0);
  const std::string svg = read_file(folder.path() / "figures" / "heldout_loss.svg");
  CHECK_THAT(svg, ContainsSubstring("at step 60"));
  CHECK(svg.find(">50<") == std::string::npos);
}

TEST_CASE("points of curves stand at their own step, and lines carry their arm's symbol") {
  const test::TemporaryFolder folder;
  test::write_experiment(folder.path());
  const FigureInputs inputs = read_figure_inputs({folder.path().string()}, false);
  const std::string losses = heldout_loss(inputs.experiments.at(0)).drawings.at(0).script;
  for (const char* block : {"$value0 << EOD\n0 ", "$value1 << EOD\n0 ", "$difference2 << EOD\n0 "})
    CHECK_THAT(losses, ContainsSubstring(block));
  CHECK_THAT(losses, ContainsSubstring("'loss minus gqa'"));
  const Drawing drawing = training_loss(inputs.experiments.at(0)).drawings.at(0);
  // 60 rows, a symbol at every 15th, the second of three arms' from the middle on.
  CHECK_THAT(drawing.script, ContainsSubstring("$value1 using 1:2 every 15::7 notitle with points pt 5 ") &&
                                 ContainsSubstring("keyentry with linespoints"));
  CHECK_THAT(drawing.words, ContainsSubstring("band: lowest to highest seed"));
}

TEST_CASE("a caption says that a curve leaves its axis, and what a difference is to where the name is long") {
  const test::TemporaryFolder folder;
  const std::string long_name = "an_arm_with_a_long_name";
  for (int64_t arm = 0; arm < 2; ++arm) {
    const test::SampleRun run{.arm = arm == 0 ? long_name : "b", .arm_index = arm};
    RunWriter writer = RunWriter::create(folder.path() / run.arm / "seed0.h5", test::header_of(run));
    for (int64_t step = 1; step <= 60; ++step) {
      TrainRow row = test::train_row(run, step);
      if (step < 5) row.loss += 20;
      writer.put_train(row);
    }
    writer.set_status(RunState::complete, 60);
  }
  const FigureInputs inputs = read_figure_inputs({folder.path().string()}, false);
  const Drawing drawing = training_loss(inputs.experiments.at(0)).drawings.at(0);
  CHECK_THAT(drawing.words, ContainsSubstring("the first 10 % may lie beyond the axes") &&
                                ContainsSubstring("Δ: minus " + long_name));
  CHECK_THAT(drawing.script, ContainsSubstring("'Δ loss'"));
}

TEST_CASE("one seed has no interval over seeds, and its accuracy has one over problems") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_run(folder.path(), {.at_start = false, .problems = 50});
  REQUIRE(make_figures(folder.path().string()).status == 0);
  const auto loss = test::row_of(test::read_csv(folder.path() / "figures" / "heldout_loss.csv"), "gqa", "60");
  CHECK(loss.at("low").empty());
  CHECK(loss.at("high").empty());
  const auto bar = test::row_of(test::read_csv(folder.path() / "figures" / "accuracy.csv"), "gqa");
  const EvaluationRow last = read_runs(folder.path()).front().evaluations.back();
  const Interval expected = wilson_interval(last.correct, 50);
  CHECK(near(number(bar, "low"), 100 * expected.low));
  CHECK(near(number(bar, "high"), 100 * expected.high));
  CHECK(bar.at("before_training_percent").empty());
}

TEST_CASE("each sweep point has its curves") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  for (const char* point : {"train.lr=0.001", "train.lr=0.003"})
    test::write_run(folder.path(), {.sweep_point = point, .experiment = "a"});
  REQUIRE(make_figures(folder.path().string()).status == 0);
  for (const char* name : {"training_loss-train.lr_0.001.png", "training_loss-train.lr_0.003.png",
                           "heldout_loss-train.lr_0.001.svg", "accuracy.pdf"})
    CHECK(fs::exists(folder.path() / "figures" / name));
  CHECK(test::read_csv(folder.path() / "figures" / "accuracy.csv").size() == 2);
}

TEST_CASE("several experiments have files and titles of their own") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_run(folder.path() / "x", {.experiment = "a, b"});
  test::write_run(folder.path() / "y", {.experiment = "it's \"c\""});
  test::write_run(folder.path() / "z", {.experiment = "a; b"});
  test::write_run(folder.path() / "w", {.experiment = "d", .state = RunState::running});
  const test::Called called = make_figures(folder.path().string());
  REQUIRE(called.status == 0);
  CHECK_THAT(called.err, ContainsSubstring("experiment d is left out: no finished run"));
  const auto figures = folder.path() / "figures";
  for (const char* name : {"a__b-2-", "it_s__c_-", "a__b-"}) {
    INFO(name);
    const auto rows = test::read_csv(figures / (std::string(name) + "accuracy.csv"));
    CHECK(rows.size() == 1);
    CHECK(rows.front().at("arm") == "gqa");
  }
  CHECK_THAT(read_file(figures / "a__b-training_loss.svg"), ContainsSubstring("Training loss, a, b"));
  CHECK_FALSE(fs::exists(figures / "accuracy.csv"));
}

TEST_CASE("measurements without runs are no error, and figures of runs are skipped") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  write_measurements(folder.path() / "one.measured.h5", {.fits = {{.error = 1, .student = "gqa"}}});
  const test::Called called = make_figures(folder.path().string() + " --only accuracy");
  CHECK(called.status == 1);
  CHECK(called.err ==
        "make_figures: accuracy skipped: no runs; made by: build/bin/run_ablation --config "
        "experiments/instruction/exp.yaml --set size=small\n");
  CHECK_FALSE(fs::exists(folder.path() / "figures"));
  test::write_run(folder.path() / "runs", {});
  CHECK(make_figures(folder.path().string() + " --only accuracy").status == 0);
}

TEST_CASE("runs that are not finished are left out with a note, or drawn if asked for") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_run(folder.path(), {.seed = 0});
  test::write_run(folder.path(), {.seed = 1, .steps = 40, .state = RunState::running});
  test::write_run(folder.path(), {.seed = 2, .steps = 40, .state = RunState::failed});
  const auto csv = folder.path() / "figures" / "training_loss.csv";
  const test::Called called = make_figures(folder.path().string());
  REQUIRE(called.status == 0);
  CHECK_THAT(called.err, ContainsSubstring("seed1.h5 is left out: not finished (at step 40)") &&
                             ContainsSubstring("seed2.h5 is left out: failed after step 40: by the test"));
  CHECK(test::row_of(test::read_csv(csv), "gqa", "60").at("seeds") == "1");
  REQUIRE(make_figures(folder.path().string() + " --unfinished").status == 0);
  CHECK(test::row_of(test::read_csv(csv), "gqa", "40").at("seeds") == "3");
}

TEST_CASE("a figure without data is skipped with a reason, the others are drawn") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_run(folder.path(), {.evaluate_every = 1000, .at_start = false});
  const test::Called called = make_figures(folder.path().string());
  REQUIRE(called.status == 0);
  // One line for all; --only tells the reason.
  CHECK(std::count(called.err.begin(), called.err.end(), '\n') == 1);
  CHECK_THAT(called.err, ContainsSubstring("skipped, for want of data: heldout_loss, accuracy, "));
  CHECK_THAT(make_figures(folder.path().string() + " --only accuracy").err,
             ContainsSubstring("accuracy skipped: no evaluation after training"));
  CHECK(fs::exists(folder.path() / "figures" / "training_loss.png"));
  CHECK_FALSE(fs::exists(folder.path() / "figures" / "accuracy.csv"));
}

TEST_CASE("a figure is made for a page: its width, its font, its names, and words beside it") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_experiment(folder.path());
  const auto labels = folder.path() / "labels.yaml";
  write_file_atomic(labels, "mla_identity: MLA (identity)\n");
  const auto file = [&](const char* ending) {
    return folder.path() / "figures" / (std::string("accuracy") + ending);
  };
  const std::string only = folder.path().string() + " --only accuracy";
  REQUIRE(make_figures(only).status == 0);
  CHECK_THAT(read_file(file(".svg")), ContainsSubstring("width=\"245\"") && ContainsSubstring("n = 3 seeds"));
  CHECK_FALSE(fs::exists(file(".txt")));
  REQUIRE(make_figures(only + " --no-title --width 5in --font-size 9 --labels " + labels.string()).status == 0);
  const std::string svg = read_file(file(".svg"));
  CHECK_THAT(svg, ContainsSubstring("width=\"360\"") && ContainsSubstring("MLA (identity)"));
  CHECK_THAT(svg, !ContainsSubstring("n = 3 seeds") && !ContainsSubstring("mla_identity"));
  CHECK_THAT(read_file(file(".txt")), ContainsSubstring("Accuracy\nn = 3 seeds"));
  CHECK_THAT(read_file(file(".csv")), ContainsSubstring("mla_identity"));
  for (const char* bad : {" --width 3px", " --width 0.5in", " --font-size 40", " --labels none.yaml"}) {
    const test::Called called = make_figures(only + bad);
    INFO(called.err);
    CHECK(called.status == 2);
    CHECK(std::count(called.err.begin(), called.err.end(), '\n') == 1);
  }
}

TEST_CASE("sweep points stand in the order of the numbers in them") {
  std::vector<RunRecord> records;
  for (const char* point : {"rank=128,lr=0.0001", "rank=16,lr=1e-3", "rank=16,lr=3e-05", "rank=32"}) {
    RunRecord& run = records.emplace_back();
    run.header = test::header_of({.sweep_point = point});
    run.state = RunState::complete;
    run.path = point;
  }
  const auto points = sort_runs(std::move(records), false).points;
  CHECK(points ==
        std::vector<std::string>{"rank=16,lr=3e-05", "rank=16,lr=1e-3", "rank=32", "rank=128,lr=0.0001"});
}
