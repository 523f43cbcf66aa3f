// tasks, ablation and accuracy_cache: the numbers in their CSV against ones computed here from the files.
#include <set>

#include "bar_chart.h"
#include "compare/answers.h"
#include "compare/task_verdict.h"
#include "csv.h"
#include "figure_inputs.h"
#include "stats/intervals.h"

using namespace attnlab;
using test::make_figures;
using test::number;

namespace {

namespace fs = std::filesystem;

using test::near;

const FlatFields float32_words{{"train.precision", std::string("float32")},
                               {"data.kind", std::string("word_problems")}};

std::vector<test::CsvRow> rows_of(const fs::path& csv, const std::string& column, const std::string& value) {
  std::vector<test::CsvRow> rows;
  for (const auto& row : test::read_csv(csv))
    if (row.at(column) == value) rows.push_back(row);
  return rows;
}

void check_interval(const test::CsvRow& row, const std::vector<std::string>& columns, const Interval& expected,
                    double factor = 1) {
  CHECK(near(number(row, columns[0]), factor * expected.value));
  CHECK(near(number(row, columns[1]), factor * expected.low));
  CHECK(near(number(row, columns[2]), factor * expected.high));
}

std::vector<double> last_values(const fs::path& folder, double EvaluationRow::*value, double factor = 1) {
  std::vector<double> values;
  for (const RunRecord& run : read_runs(folder)) values.push_back(factor * (run.evaluations.back().*value));
  return values;
}

AnswersBySeed last_answers_of(const fs::path& folder) {
  AnswersBySeed answers;
  for (const RunRecord& run : read_runs(folder)) answers[run.header.seed] = last_answers(run);
  return answers;
}

}  // namespace

TEST_CASE("tasks stand beside the answers, with intervals over seeds and problems") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_experiment(folder.path(), {.config = float32_words, .with_tasks = true});
  REQUIRE(make_figures(folder.path().string() + " --only tasks").status == 0);
  const auto csv = folder.path() / "figures" / "tasks.csv";
  CHECK(test::read_csv(csv).size() == 3 * 3);

  const auto answers = test::row_of(rows_of(csv, "task", "word_problems"), "mla_identity");
  CHECK(answers.at("problems") == "200");
  check_interval(answers, {"percent", "low", "high"},
                 share_right(last_answers_of(folder.path() / "mla_identity")), 100);

  const auto task = test::row_of(rows_of(csv, "task", "humaneval"), "mla_identity");
  CHECK(task.at("protocol") == "plain");
  CHECK(task.at("seeds") == "3");
  CHECK(task.at("problems") == "30");
  int64_t right = 0;
  for (int64_t seed = 0; seed < 3; ++seed)
    for (int64_t problem = 0; problem < 30; ++problem)
      right += test::solves({.arm_index = 1, .seed = seed}, "humaneval", problem);
  CHECK(near(number(task, "percent"), 100.0 * static_cast<double>(right) / 90));
  for (const TaskComparison& row : compare_tasks(read_runs(folder.path())))
    if (row.task == "humaneval" && row.arm == "mla_identity") {
      check_interval(task, {"percent", "low", "high"}, row.value, 100);
      check_interval(task, {"difference", "difference_low", "difference_high"}, row.difference, 100);
    }
  CHECK(test::row_of(rows_of(csv, "task", "humaneval"), "gqa").at("difference").empty());
  CHECK_THAT(read_file(folder.path() / "figures" / "tasks.svg"), ContainsSubstring("gsm8k") &&
                                                                     ContainsSubstring("30 problems") &&
                                                                     ContainsSubstring("n = 3 seeds"));
}

TEST_CASE(
    "runs without evaluations of tasks have no figure of tasks, and the command that makes them is named") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_run(folder.path(), {});
  const test::Called called = make_figures(folder.path().string() + " --only tasks --only ablation");
  CHECK(called.status == 1);
  CHECK(called.out.empty());
  CHECK(called.err ==
        "make_figures: tasks skipped: no run has an evaluation of tasks; made by: build/bin/run_ablation "
        "--config experiments/instruction/exp.yaml --set size=small\n"
        "make_figures: ablation skipped: no second arm shares a seed with the first; made by: "
        "build/bin/run_ablation --config experiments/identity_ablation/exp.yaml --set size=small\n");
}

TEST_CASE("the ablation shows paired differences to the first arm") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_experiment(folder.path(), {.config = float32_words, .with_tasks = true});
  REQUIRE(make_figures(folder.path().string() + " --only ablation").status == 0);
  const auto csv = folder.path() / "figures" / "ablation.csv";
  CHECK(test::read_csv(csv).size() == 4 * 2);  // loss, answers and two tasks of two arms
  const auto loss = test::row_of(rows_of(csv, "measure", "held-out loss"), "mla_orthogonal");
  const auto losses = [&](const char* arm) {
    return last_values(folder.path() / arm, &EvaluationRow::heldout_loss);
  };
  check_interval(loss, {"difference", "low", "high"},
                 paired_difference(losses("mla_orthogonal"), losses("gqa")).difference);
  CHECK(loss.at("unit") == "nats per token");
  CHECK(loss.at("minus") == "gqa");
  CHECK(number(loss, "difference") < 0);
  const auto answers = test::row_of(rows_of(csv, "measure", "word_problems"), "mla_orthogonal");
  const auto of = [&](const char* arm) { return last_answers_of(folder.path() / arm); };
  check_interval(answers, {"difference", "low", "high"},
                 difference_in_right(of("mla_orthogonal"), of("gqa")).found.difference, 100);
  CHECK(answers.at("unit") == "points");
  CHECK(number(test::row_of(rows_of(csv, "measure", "gsm8k"), "mla_orthogonal"), "difference") > 0);
}

TEST_CASE("of several protocols pictures show the first one and the CSV has all") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_experiment(folder.path(),
                         {.problems = 0, .with_tasks = true, .protocols = {"strict", "flexible"}});
  REQUIRE(make_figures(folder.path().string() + " --only tasks --only ablation --only accuracy_cache").status ==
          0);
  for (const char* name : {"tasks", "ablation", "accuracy_cache"}) {
    INFO(name);
    const auto figure = [&](const char* ending) {
      return read_file(folder.path() / "figures" / (std::string(name) + ending));
    };
    CHECK_THAT(figure(".svg"), ContainsSubstring("of several protocols strict") && ContainsSubstring("gsm8k"));
    CHECK(figure(".svg").find("flexible") == std::string::npos);
    CHECK_THAT(figure(".csv"), ContainsSubstring("strict") && ContainsSubstring("flexible"));
  }
  CHECK(test::read_csv(folder.path() / "figures" / "tasks.csv").size() == 2 * 2 * 3);
}

TEST_CASE("a task that the first arm was not asked has no difference") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_run(folder.path(), {.problems = 0});
  for (int64_t arm = 1; arm < 3; ++arm)
    test::write_run(folder.path(),
                    {.arm = "arm" + std::to_string(arm), .arm_index = arm, .problems = 0, .with_tasks = true});
  REQUIRE(make_figures(folder.path().string() + " --only tasks --only ablation").status == 0);
  for (const auto& row : test::read_csv(folder.path() / "figures" / "tasks.csv"))
    CHECK(row.at("difference").empty());
  for (const auto& row : test::read_csv(folder.path() / "figures" / "ablation.csv"))
    CHECK(row.at("measure") == "held-out loss");
}

TEST_CASE("scores and loss are shown against the bytes that a token takes in the cache") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  for (int64_t seed = 0; seed < 3; ++seed) {
    test::write_run(folder.path(), {.seed = seed, .cached = 768, .config = float32_words});
    test::write_run(folder.path(), {.arm = "mla_identity", .arm_index = 1, .seed = seed, .cached = 96});
  }
  REQUIRE(make_figures(folder.path().string() + " --only accuracy_cache").status == 0);
  const auto csv = folder.path() / "figures" / "accuracy_cache.csv";
  CHECK(test::read_csv(csv).size() == 2 * 2);
  const auto loss = test::row_of(rows_of(csv, "measure", "held-out loss"), "gqa");
  CHECK(loss.at("cached_bytes_per_token") == "3072");
  check_interval(loss, {"value", "low", "high"},
                 mean_interval(last_values(folder.path() / "gqa", &EvaluationRow::heldout_loss)));
  // No precision in the config: two bytes a number, as the caption says.
  const auto answers = test::row_of(rows_of(csv, "measure", "answers"), "mla_identity");
  CHECK(answers.at("cached_bytes_per_token") == "192");
  check_interval(answers, {"value", "low", "high"},
                 share_right(last_answers_of(folder.path() / "mla_identity")), 100);
  CHECK_THAT(read_file(folder.path() / "figures" / "accuracy_cache.svg"),
             ContainsSubstring("2 bytes a number, float32"));
}

TEST_CASE("loss and tasks are shown against what a sequence keeps, states of fixed size too") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  for (int64_t seed = 0; seed < 3; ++seed) {
    test::write_run(folder.path(),
                    {.seed = seed, .cached = 100, .cache_bytes = 2.0 * 100 * 8192, .with_tasks = true});
    test::write_run(folder.path(), {.arm = "rwkv7",
                                    .arm_index = 1,
                                    .seed = seed,
                                    .cached = 0,
                                    .cache_bytes = 3e6,
                                    .config = float32_words,
                                    .with_tasks = true});
    test::write_run(folder.path(), {.arm = "hybrid",
                                    .arm_index = 2,
                                    .seed = seed,
                                    .cached = 50,
                                    .cache_bytes = 1e6 + 4.0 * 50 * 8192,
                                    .config = float32_words,
                                    .with_tasks = true});
  }
  REQUIRE(make_figures(folder.path().string() + " --only kept_bytes").status == 0);
  const auto csv = folder.path() / "figures" / "kept_bytes.csv";
  CHECK(test::read_csv(csv).size() == 3 * 3);
  const auto kept = [&](const char* context, const char* arm) {
    return number(test::row_of(rows_of(csv, "context", context), arm), "kept_megabytes");
  };
  CHECK(kept("1024", "gqa") == Approx(2.0 * 100 * 1024 / 1e6));
  CHECK(kept("65536", "gqa") == Approx(2.0 * 100 * 65536 / 1e6));
  CHECK(kept("1024", "rwkv7") == Approx(3));
  CHECK(kept("65536", "rwkv7") == Approx(3));
  CHECK(kept("65536", "hybrid") == Approx((1e6 + 4.0 * 50 * 65536) / 1e6));
  check_interval(test::row_of(rows_of(csv, "context", "8192"), "rwkv7"), {"heldout_loss", "low", "high"},
                 mean_interval(last_values(folder.path() / "rwkv7", &EvaluationRow::heldout_loss)));
  const auto tasks = folder.path() / "figures" / "kept_bytes_tasks.csv";
  CHECK(test::read_csv(tasks).size() == 2 * 3);
  const auto hybrid = test::row_of(rows_of(tasks, "task", "humaneval"), "hybrid");
  CHECK(number(hybrid, "kept_megabytes") == Approx((1e6 + 4.0 * 50 * 1024) / 1e6));
  CHECK(number(hybrid, "solved") == Approx(60));  // 4 + 2 of 10 problems each
}

TEST_CASE("points stand at their own number of bytes, and a form's sizes and the best ones are joined") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  for (int64_t seed = 0; seed < 2; ++seed) {
    test::write_run(folder.path(), {.seed = seed, .cached = 768});
    test::write_run(folder.path(), {.arm = "mla_identity", .arm_index = 1, .seed = seed, .cached = 768});
  }
  const auto script_of = [&] {
    const FigureInputs inputs = read_figure_inputs({folder.path().string()}, false);
    const Figure figure = accuracy_cache(inputs.experiments.at(0));
    REQUIRE(figure.drawings.size() == 1);
    return figure.drawings[0].script;
  };
  CHECK_THAT(script_of(),
             ContainsSubstring("$value0 << EOD\n1536 ") && ContainsSubstring("$value1 << EOD\n1536 ") &&
                 !ContainsSubstring("'Pareto front'"));  // of one size there are no stairs
  for (int64_t seed = 0; seed < 2; ++seed)
    test::write_run(folder.path(), {.arm = "small", .arm_index = 2, .seed = seed, .cached = 96});
  CHECK_THAT(script_of(), ContainsSubstring("$front << EOD\n192 ") && ContainsSubstring("'Pareto front'"));
}

TEST_CASE("arms of one variant at several sizes are joined, also where a sweep has a drawing per point") {
  const test::TemporaryFolder folder;
  for (const char* point : {"train.lr=0.001", "train.lr=0.01"})
    for (int64_t arm = 0; arm < 2; ++arm) {
      const test::SampleRun run{.sweep_point = point, .cached = arm == 0 ? 768 : 96};
      RunHeader header = test::header_of(run);
      header.arm = arm == 0 ? "large" : "small";
      header.arm_index = arm;
      RunWriter writer = RunWriter::create(folder.path() / header.arm / point / "seed0.h5", header);
      writer.put_evaluation(test::evaluation_row(run, 60), {});
      writer.set_status(RunState::complete, 60);
    }
  const FigureInputs inputs = read_figure_inputs({folder.path().string()}, false);
  const Figure figure = accuracy_cache(inputs.experiments.at(0));
  REQUIRE(figure.drawings.size() == 2);
  for (const auto& drawing : figure.drawings)
    CHECK_THAT(drawing.script, ContainsSubstring("$family0 << EOD\n192 "));
}

TEST_CASE("a sweep that leaves the cache as it is has a drawing per point") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  for (const char* point : {"train.lr=0.001", "train.lr=0.01"})
    test::write_run(folder.path(), {.sweep_point = point, .cached = 768});
  REQUIRE(make_figures(folder.path().string() + " --only accuracy_cache").status == 0);
  for (const char* point : {"0.001", "0.01"})
    CHECK(fs::exists(folder.path() / "figures" / (std::string("accuracy_cache-train.lr_") + point + ".png")));
  CHECK_FALSE(fs::exists(folder.path() / "figures" / "accuracy_cache.png"));
}

TEST_CASE("tasks that lie far apart have axes of their own") {
  const auto bar = [](size_t group, double percent) {
    return Bar{.group = group,
               .after = {.value = percent, .low = 0.9 * percent, .high = 1.1 * percent, .n = 9}};
  };
  BarChart chart{.arms = {"gqa"}, .groups = {"a", "b", "c"}, .bars = {bar(0, 85), bar(1, 1), bar(2, 60)}};
  const auto axes = [&] {
    const std::string script = draw_bars(chart, "x", "", "").script;
    size_t count = 0;
    for (size_t at = script.find("set yrange"); at != std::string::npos; at = script.find("set yrange", at + 1))
      ++count;
    return count;
  };
  CHECK(axes() == 1);
  chart.own_scales = true;
  CHECK(axes() == 2);
}

TEST_CASE("without problems of their own, runs are shown by their tasks against the cache") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_experiment(folder.path(), {.problems = 0, .with_tasks = true});
  REQUIRE(make_figures(folder.path().string() + " --only accuracy_cache").status == 0);
  std::map<std::string, int> rows;
  for (const auto& row : test::read_csv(folder.path() / "figures" / "accuracy_cache.csv"))
    ++rows[row.at("measure")];
  CHECK(rows == std::map<std::string, int>{{"gsm8k", 3}, {"humaneval", 3}, {"held-out loss", 3}});
}

TEST_CASE("answers and a task of the same name are told apart") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  test::write_experiment(folder.path(), {.config = {{"data.kind", std::string("gsm8k")}}, .with_tasks = true});
  REQUIRE(make_figures(folder.path().string() + " --only ablation").status == 0);
  std::set<std::string> measures;
  for (const auto& row : test::read_csv(folder.path() / "figures" / "ablation.csv"))
    measures.insert(row.at("measure"));
  CHECK(measures == std::set<std::string>{"gsm8k, answers", "gsm8k, plain", "held-out loss", "humaneval"});
}

TEST_CASE("figures of scores and rates give the same bytes each time") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  for (const std::string point : {"train.lr=0.001", "train.lr=0.003"})
    test::write_experiment(folder.path(), {.sweep_point = point, .with_tasks = true});
  const auto draw = [&] {
    REQUIRE(make_figures(folder.path().string()).status == 0);
    std::map<std::string, std::string> drawn;
    for (const auto& file : fs::directory_iterator(folder.path() / "figures"))
      drawn[file.path().string()] = read_file(file.path());
    return drawn;
  };
  const auto first = draw(), second = draw();
  for (const char* name : {"tasks-train.lr_0.001", "ablation-train.lr_0.003", "accuracy_cache-train.lr_0.003",
                           "learning_rate", "loss_flops-train.lr_0.001"})
    for (const char* ending : {".png", ".pdf", ".svg", ".csv"})
      CHECK(first.count((folder.path() / "figures" / (std::string(name) + ending)).string()) == 1);
  CHECK(first == second);
}
