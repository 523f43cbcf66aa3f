// learning_rate and loss_flops.
#include "csv.h"
#include "figure.h"
#include "figure_inputs.h"
#include "stats/intervals.h"

using namespace attnlab;
using test::make_figures;
using test::number;

namespace {

namespace fs = std::filesystem;

// FLOPs, too, are whole numbers below 2^53.
using test::near;

// A run that chooses a rate: GQA/lr_selection/lr=RATE/selectK.h5.
fs::path write_selecting(const fs::path& results, const std::string& rate, int64_t seed,
                         RunState state = RunState::complete) {
  const test::SampleRun run{
      .seed = seed, .sweep_point = "lr=" + rate, .at_start = false, .problems = 0, .state = state};
  const fs::path path =
      results / "gqa" / "lr_selection" / run.sweep_point / ("select" + std::to_string(seed) + ".h5");
  test::write_run_file(path, run);
  return path;
}

FlatFields chosen(double rate) {
  return {{"train.lr", rate}, {"lr_selection.sweep", std::vector<double>{0.001, 0.003}}};
}

std::vector<double> losses(const std::vector<fs::path>& files) {
  std::vector<double> values;
  for (const fs::path& file : files) values.push_back(read_run(file).evaluations.back().heldout_loss);
  return values;
}

void check_spread(const test::CsvRow& row, const std::vector<double>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  CHECK(near(number(row, "mean"), (values[0] + values[1]) / 2));
  CHECK(near(number(row, "low"), *low));
  CHECK(near(number(row, "high"), *high));
}

}  // namespace

TEST_CASE("the runs that choose a learning rate are drawn, and the chosen rate is marked") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_run(folder.path(), {.config = chosen(0.003)});
  std::map<std::string, std::vector<fs::path>> files;
  for (const std::string rate : {"0.001", "0.003"})
    for (const int64_t seed : {100, 101}) files[rate].push_back(write_selecting(folder.path(), rate, seed));
  REQUIRE(make_figures(folder.path().string() + " --only learning_rate").status == 0);
  const auto rows = test::read_csv(folder.path() / "figures" / "learning_rate.csv");
  REQUIRE(rows.size() == 2);
  for (const auto& row : rows) {
    CHECK(row.at("arm") == "gqa");
    CHECK(row.at("seeds") == "2");
    check_spread(row, losses(files.at(row.at("learning_rate"))));
  }
  const std::string svg = read_file(folder.path() / "figures" / "learning_rate.svg");
  for (const char* text :
       {"n = 2 seeds; line: mean, bars: lowest to highest seed", "large: chosen rate", "1e-3", "3e-3"})
    CHECK_THAT(svg, ContainsSubstring(text));
}

TEST_CASE("a rate at which a run diverged has no point and is counted") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_run(folder.path(), {});
  for (const std::string rate : {"0.001", "0.003", "0.01"}) write_selecting(folder.path(), rate, 100);
  const fs::path path = folder.path() / "gqa" / "lr_selection" / "lr=0.01" / "select101.h5";
  {
    RunWriter writer = RunWriter::create(path, test::header_of({.seed = 101, .sweep_point = "lr=0.01"}));
    writer.put_nonfinite({.step = 3, .loss = NAN, .gradient_norm = NAN});
    writer.set_status(RunState::failed, 3, "the loss is not finite");
  }
  REQUIRE(make_figures(folder.path().string() + " --only learning_rate").status == 0);
  CHECK(test::read_csv(folder.path() / "figures" / "learning_rate.csv").size() == 2);
  CHECK_THAT(read_file(folder.path() / "figures" / "learning_rate.svg"), ContainsSubstring("1 diverged"));
}

TEST_CASE("a rate whose loss is far above the best one leaves the axis as an arrow, and stays in the CSV") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const auto caption_of = [](double factor) {
    const test::TemporaryFolder folder;
    const fs::path file = test::write_run(folder.path(), {.sweep_point = "train.lr=0.001"});
    const double best = read_run(file).evaluations.back().heldout_loss;
    RunHeader header = test::header_of({.sweep_point = "train.lr=0.01"});
    RunWriter writer = RunWriter::create(folder.path() / "gqa" / "train.lr=0.01" / "seed0.h5", header);
    writer.put_evaluation({.step = 60, .heldout_loss = factor * best, .heldout_tokens = 1000}, {});
    writer.set_status(RunState::complete, 60);
    REQUIRE(make_figures(folder.path().string() + " --only learning_rate").status == 0);
    CHECK(near(number(test::read_csv(folder.path() / "figures" / "learning_rate.csv")[1], "mean"),
               factor * best));
    return read_file(folder.path() / "figures" / "learning_rate.svg");
  };
  CHECK_THAT(caption_of(4), ContainsSubstring("arrows: above the axis, up to 4."));
  CHECK(caption_of(1.4).find("arrows") == std::string::npos);
}

TEST_CASE("a sweep over train.lr is drawn by the other keys of its points") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  std::vector<fs::path> files;
  for (const std::string point :
       {"train.lr=0.001,train.steps=60", "train.lr=0.003,train.steps=60", "train.lr=0.001,train.steps=20"})
    for (const int64_t seed : {0, 1})
      files.push_back(test::write_run(folder.path(), {.seed = seed, .sweep_point = point}));
  REQUIRE(make_figures(folder.path().string() + " --only learning_rate").status == 0);
  // The point with one rate alone is no curve.
  const auto rows = test::read_csv(folder.path() / "figures" / "learning_rate.csv");
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].at("sweep_point") == "train.steps=60");
  check_spread(rows[0], losses({files[0], files[1]}));
  check_spread(rows[1], losses({files[2], files[3]}));
}

TEST_CASE("runs at one learning rate are skipped with the command that sweeps") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_run(folder.path(), {});
  const test::Called called = make_figures(folder.path().string() + " --only learning_rate");
  CHECK(called.status == 1);
  CHECK(called.err ==
        "make_figures: learning_rate skipped: no run has a held-out loss at several learning rates; made by: "
        "build/bin/run_ablation --config experiments/instruction/exp.yaml --set size=small\n");
}

TEST_CASE("the training loss is shown against three forward passes of its tokens") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_experiment(folder.path(), {.steps = 60});
  REQUIRE(make_figures(folder.path().string() + " --only loss_flops").status == 0);
  const auto rows = test::read_csv(folder.path() / "figures" / "loss_flops.csv");
  CHECK(rows.size() == 3 * 60);
  const double flops = 3.0 * 4e6 * 4096 * 37;
  bool found = false;
  for (const auto& row : rows) {
    if (row.at("arm") != "mla_identity" || number(row, "flops") != flops) continue;
    found = true;
    double sum = 0;
    for (const RunRecord& run : read_runs(folder.path() / "mla_identity")) sum += run.train.at(36).loss;
    CHECK(near(number(row, "mean"), sum / 3));
    // Arms spend alike here, so equal compute is an equal step: a tenth of 60 steps is 3 to both sides.
    double difference = 0;
    for (size_t step = 34; step <= 40; ++step)
      for (const auto& [arm, sign] : {std::pair("mla_identity", 1), std::pair("gqa", -1)})
        for (const RunRecord& run : read_runs(folder.path() / arm))
          difference += sign * run.train.at(step - 1).loss;
    CHECK(near(number(row, "difference"), difference / (3 * 7)));
    CHECK(row.at("difference_low").empty());
  }
  CHECK(found);
  CHECK_THAT(read_file(folder.path() / "figures" / "loss_flops.svg"), ContainsSubstring("equal compute"));
  // 3 · 4e6 · 4096 · 60 = 2.9e12
  CHECK_THAT(read_file(folder.path() / "figures" / "loss_flops.svg"),
             ContainsSubstring("training compute, 3 × forward (TFLOP)"));
}

TEST_CASE("arms that passed through their data more than once have no difference at equal compute") {
  const test::TemporaryFolder folder;
  for (int64_t arm = 0; arm < 2; ++arm) {
    const test::SampleRun run{.arm = arm == 0 ? "gqa" : "mla", .arm_index = arm};
    RunHeader header = test::header_of(run);
    header.provenance = {{"train_tokens", int64_t{100'000}}};  // of 60 steps of 4096
    RunWriter writer = RunWriter::create(folder.path() / run.arm / "seed0.h5", header);
    for (int64_t step = 1; step <= 60; ++step) writer.put_train(test::train_row(run, step));
    writer.set_status(RunState::complete, 60);
  }
  const FigureInputs inputs = read_figure_inputs({folder.path().string()}, false);
  const Figure figure = loss_flops(inputs.experiments.at(0));
  REQUIRE(figure.drawings.size() == 1);
  CHECK_THAT(figure.drawings[0].words, ContainsSubstring("several passes through the data: no differences"));
  CHECK_THAT(figure.drawings[0].script, !ContainsSubstring("equal compute"));
}
