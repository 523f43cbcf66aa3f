// Tables: their numbers against the files', in each format.
#include "compare/answers.h"
#include "csv.h"
#include "results/evaluation_file.h"
#include "sample_measurements.h"
#include "stats/intervals.h"

using namespace attnlab;
using test::make_figures;

namespace {

namespace fs = std::filesystem;

struct Written {
  test::TemporaryFolder folder;

  fs::path file(const std::string& name) const { return folder.path() / "figures" / name; }
  std::vector<test::CsvRow> rows(const std::string& name) const { return test::read_csv(file(name + ".csv")); }
  test::Called make(const std::string& only) const {
    return make_figures(folder.path().string() + " --only " + only);
  }
};

std::string rounded(double value, int digits) {
  std::ostringstream out;
  out.precision(digits);
  out << std::fixed << value;
  return out.str();
}

// Multiple choice: two metrics, of which acc_norm is the one that counts; and perplexity.
void write_tasks(const fs::path& results, const std::string& arm, int64_t seed, double score) {
  EvaluationRecord record;
  record.scores = {{.task = "piqa", .protocol = "", .metric = "acc", .value = 0.1, .n = 40},
                   {.task = "piqa", .protocol = "", .metric = "acc_norm", .value = score, .n = 40},
                   {.task = "wiki", .protocol = "", .metric = "word_perplexity", .value = 12.5, .n = 100}};
  write_evaluation(tasks_file(results / arm / ("seed" + std::to_string(seed) + ".h5"), 60), record);
}

}  // namespace

TEST_CASE("table 1 has each arm before and after training, with means over seeds and half an interval") {
  const Written written;
  test::write_experiment(written.folder.path());
  for (int64_t seed = 0; seed < 3; ++seed)
    write_tasks(written.folder.path(), "gqa", seed, 0.5 + 0.1 * static_cast<double>(seed));
  REQUIRE(written.make("table_1").status == 0);
  const auto rows = written.rows("table_1");
  REQUIRE(rows.size() == 6);
  const auto &before = rows[0], &after = rows[1], &other = rows[3];
  CHECK(before.at("arm") == "gqa");
  CHECK(before.at("tokens") == "0");
  CHECK(after.at("tokens") == "245.76k");  // 60 steps of 4096
  CHECK(after.at("cache, change %") == "+0.00");
  std::vector<double> perplexities;
  AnswersBySeed answers;
  for (const RunRecord& run : read_runs(written.folder.path() / "gqa")) {
    perplexities.push_back(std::exp(run.evaluations.back().heldout_loss));
    answers[run.header.seed] = last_answers(run);
  }
  const Interval perplexity = mean_interval(perplexities), answer = share_right(answers);
  CHECK(after.at("held-out perplexity") ==
        rounded(perplexity.value, 3) + " ± " + rounded(perplexity.half_width(), 3));
  CHECK(after.at("answers %") == rounded(100 * answer.value, 2) + " [" + rounded(100 * answer.low, 2) + ", " +
                                     rounded(100 * answer.high, 2) + "]");
  CHECK_THAT(after.at("piqa, acc_norm %"), ContainsSubstring("60.00 ± "));
  CHECK_THAT(after.at("wiki, word_perplexity"), ContainsSubstring("12.500"));
  CHECK(after.count("mean %") == 0);  // of answers and one task of the paper's
  CHECK(other.at("piqa, acc_norm %") == "-");
}

TEST_CASE("the mean of table 1 is over the paper's tasks, and one under several protocols counts once") {
  const Written written;
  const fs::path file = test::write_run(
      written.folder.path(),
      {.problems = 0, .config = {{"base.path", std::string("results/pretrain/gqa/seed0.model")}}});
  EvaluationRecord record;
  const auto add = [&](const char* task, const char* protocol, double value) {
    record.scores.push_back(
        {.task = task, .protocol = protocol, .metric = "accuracy", .value = value, .n = 40});
  };
  add("mmlu", "strict", 0.1);
  add("mmlu", "flexible", 0.9);
  add("piqa", "", 0.3);
  add("code", "", 0.85);
  write_evaluation(tasks_file(file, 60), record);
  REQUIRE(written.make("table_1").status == 0);
  const auto row = written.rows("table_1").back();
  CHECK(row.at("mmlu, flexible, accuracy %") == "90.00");
  CHECK(row.at("mean %") == "20.00");
  CHECK(row.at("group") == "pretrain/gqa/seed0");
}

TEST_CASE("table 1 says which columns of the paper it has no data for") {
  const Written written;
  test::write_run(written.folder.path(), {});
  write_tasks(written.folder.path(), "gqa", 0, 0.5);
  REQUIRE(written.make("table_1").status == 0);
  for (const char* ending : {".md", ".tex"}) {
    const std::string text = read_file(written.file(std::string("table_1") + ending));
    CHECK_THAT(text, ContainsSubstring("without data here: mmlu") && ContainsSubstring("winogrande"));
    CHECK(text.substr(text.find("without data here")).find("piqa") == std::string::npos);
  }
  CHECK(written.rows("table_1").back().at("answers %").find("±") == std::string::npos);  // one seed
}

TEST_CASE("table 3 has a column per arm with what its config and its rows say") {
  const Written written;
  for (const char* arm : {"gqa", "mla_identity"}) {
    RunHeader header = test::header_of({.arm = arm});
    header.arm_index = arm == std::string("gqa") ? 0 : 1;
    header.config = {{"base.path", std::string("data/base_small/")},
                     {"train.lr", header.arm_index ? 3e-4 : 1e-4},
                     {"train.batch_size", int64_t{8}},
                     {"train.micro_batches", int64_t{2}},
                     {"train.sequence_length", int64_t{256}},
                     {"train.schedule", std::string("cosine")},
                     {"train.final_lr_share", 0.1}};
    RunWriter writer = RunWriter::create(written.folder.path() / arm / "seed0.h5", header);
    writer.put_train(test::train_row({}, 60));
    writer.set_status(RunState::complete, 60);
  }
  REQUIRE(written.make("table_3").status == 0);
  std::map<std::string, test::CsvRow> rows;
  for (const auto& row : written.rows("table_3")) rows[row.at("setting")] = row;
  CHECK(rows.at("model").at("gqa") == "base_small");
  CHECK(rows.at("highest learning rate").at("gqa") == "0.0001");
  CHECK(rows.at("highest learning rate").at("mla_identity") == "0.0003");
  CHECK(rows.at("places per step (with padding)").at("gqa") == "4096");
  CHECK(rows.at("tokens trained").at("gqa") == "245.76k");
  CHECK(rows.at("schedule, last share of the rate").at("gqa") == "cosine to 0.1");
  CHECK(rows.at("rate chosen on other seeds").at("gqa") == "no");
  CHECK(rows.at("training time").at("gqa") == "1m00s");
}

TEST_CASE("table 3 names all data that are mixed, with their weights") {
  const Written written;
  RunHeader header = test::header_of({});
  header.config = {{"data.kind", std::string("word_problems")},
                   {"data.mixture[0].kind", std::string("word_problems")},
                   {"data.mixture[0].weight", 0.4},
                   {"data.mixture[1].kind", std::string("gsm8k")},
                   {"data.mixture[1].weight", 0.6}};
  RunWriter writer = RunWriter::create(written.folder.path() / "gqa" / "seed0.h5", header);
  writer.put_train(test::train_row({}, 60));
  writer.set_status(RunState::complete, 60);
  REQUIRE(written.make("table_3").status == 0);
  for (const auto& row : written.rows("table_3"))
    if (row.at("setting") == "data") CHECK(row.at("gqa") == "word_problems (0.4), gsm8k (0.6)");
}

TEST_CASE("table 4 tells tokens per second, how many times as fast, and what does not fit") {
  const Written written;
  write_measurements(written.folder.path() / "x.measured.h5", test::sample_measurements());
  REQUIRE(written.make("table_4").status == 0);
  const auto rows = written.rows("table_4");
  REQUIRE(rows.size() == 12);
  const auto &fits = rows[7], &too_large = rows[9];
  CHECK(fits.at("context") == "8192");
  CHECK(fits.at("batch") == "16");
  CHECK(fits.at("gqa, tokens/s") == rounded(16000.0 / 21, 1));
  CHECK(fits.at("mla_absorbed, tokens/s") == rounded(16000 / 9.3, 1));
  CHECK(fits.at("mla_absorbed, times as fast as gqa") == rounded(21 / 9.3, 2));
  CHECK(too_large.at("gqa, tokens/s") == "does not fit");
  CHECK(too_large.at("mla_absorbed, times as fast as gqa") == "-");
  CHECK(rows[0].at("group") == "llama2-7b, NVIDIA H200, bf16");
}

TEST_CASE("table 4 has lines of their own for the largest batches that fit, with the batch of each form") {
  Measurements measured = test::sample_measurements();
  test::add_capped(measured);
  const Written written;
  write_measurements(written.folder.path() / "x.measured.h5", measured);
  REQUIRE(written.make("table_4").status == 0);
  std::map<std::string, test::CsvRow> rows;
  for (const auto& row : written.rows("table_4"))
    if (row.at("context") == "4096") rows[row.at("batch")] = row;
  CHECK(rows.size() == 2 + 3);
  const auto& capped = rows.at("largest in 64 GiB");
  CHECK(capped.at("gqa, tokens/s") == rounded(25000 / 18.75, 1) + " (batch 25)");
  CHECK(capped.at("mla_absorbed, tokens/s") == rounded(350000 / 23.0, 1) + " (batch 350)");
  CHECK(capped.at("mla_absorbed, times as fast as gqa") == rounded(14 * 18.75 / 23, 2));
  CHECK(rows.at("largest").at("gqa, tokens/s") == rounded(63000 / 37.75, 1) + " (batch 63)");
  CHECK(rows.at("16").at("gqa, tokens/s") == rounded(16000 / 13.5, 1));
}

TEST_CASE("table 5 shows what each arm wrote to the same prompts, before training and after it") {
  const Written written;
  const std::string longest(500, 'x');
  for (const char* arm : {"gqa", "mla_identity"}) {
    RunHeader header = test::header_of({.arm = arm});
    header.arm_index = arm == std::string("gqa") ? 0 : 1;
    header.prompt_bytes = header.output_bytes = 600;
    RunWriter writer = RunWriter::create(written.folder.path() / arm / "seed0.h5", header);
    for (const int64_t step : {0, 60}) {
      std::vector<ProblemRow> problems;
      for (int64_t i = 0; i < 3; ++i)
        problems.push_back(
            {.step = step,
             .index = i,
             .prompt = "Q" + std::to_string(i) + "\n",
             .output = i == 1 ? longest : std::string(arm) + " says\n| <b> at " + std::to_string(step),
             .correct = step == 60});
      writer.put_evaluation({.step = step, .correct = 0, .problems = 3}, problems);
    }
    writer.set_status(RunState::complete, 60);
  }
  REQUIRE(written.make("table_5").status == 0);
  const std::string markdown = read_file(written.file("table_5.md"));
  CHECK_THAT(markdown, ContainsSubstring(
                           "| **Q0** |  |  |  |\n| gqa | before training | no | gqa says<br>\\| &lt;b> at 0 |\n"
                           "| gqa | trained | yes | gqa says<br>\\| &lt;b> at 60 |\n"
                           "| mla_identity | before training | no |"));
  CHECK_THAT(markdown, ContainsSubstring(std::string(400, 'x') + " … |"));
  CHECK(markdown.find(std::string(401, 'x')) == std::string::npos);
  CHECK(markdown.find("**Q2**") == std::string::npos);  // two problems are enough
}

TEST_CASE("table 5 shows replies to tasks, and leaves out those whose texts were not kept") {
  const Written written;
  for (const char* arm : {"gqa", "mla_identity"}) {
    const fs::path file = test::write_run(
        written.folder.path(), {.arm = arm, .arm_index = arm == std::string("gqa") ? 0 : 1, .problems = 0});
    TaskRecord task{.label = "gsm8k"};
    for (int64_t i = 0; i < 4; ++i)
      task.replies.push_back({.problem = i, .id = i == 1 ? "one" : "", .text = i == 0 ? "" : "told"});
    std::vector<JudgementRow> strict, flexible;
    for (int64_t i = 0; i < 4; ++i) {
      strict.push_back({.problem = i, .correct = i == 1});
      flexible.push_back({.problem = i, .correct = 1});
    }
    task.judgements = {{"strict", strict}, {"flexible", flexible}};
    EvaluationRecord record;
    record.tasks.push_back(task);
    write_evaluation(tasks_file(file, 60), record);
  }
  REQUIRE(written.make("table_5").status == 0);
  const std::string markdown = read_file(written.file("table_5.md"));
  CHECK_THAT(markdown, ContainsSubstring("| **gsm8k, one** |  |  |  |\n| gqa | trained | yes | told |\n"
                                         "| mla_identity | trained | yes | told |\n"
                                         "| **gsm8k, problem 2** |  |  |  |\n| gqa | trained | no | told |\n"));
  CHECK(markdown.find("problem 0") == std::string::npos);
  CHECK(markdown.find("problem 3") == std::string::npos);
}

TEST_CASE("the table of conversions has a row for each, under its base") {
  const Written written;
  const Measurements measured = test::sample_measurements();
  write_measurements(written.folder.path() / "x.measured.h5", measured);
  REQUIRE(written.make("table_conversion").status == 0);
  const auto rows = written.rows("table_conversion");
  REQUIRE(rows.size() == measured.conversions.size());
  const auto& last = rows.back();
  CHECK(last.at("group") == "base_small, perplexity 2.520");
  CHECK(last.at("form, stage") == "mla_deepseek, export");
  CHECK(last.at("exact") == "yes");
  CHECK(last.at("cache, of the base's %") == "75.0");
  CHECK(rows[9].at("options") == "freqfold=1 collapse=1 kv_pca=activation balance=true");
}

TEST_CASE("a table without data is skipped with the command that makes it") {
  const Written written;
  Measurements measured;
  test::add_fits(measured);
  write_measurements(written.folder.path() / "x.measured.h5", measured);
  const std::map<std::string, std::string> commands{{"table_1", "run_ablation"},
                                                    {"table_3", "run_ablation"},
                                                    {"table_4", "bench_decode"},
                                                    {"table_5", "run_ablation"},
                                                    {"table_conversion", "measure_conversion"}};
  for (const auto& [name, command] : commands) {
    const test::Called called = written.make(name);
    CHECK(called.status == 1);
    CHECK_THAT(called.err, ContainsSubstring(name + " skipped: no ") && ContainsSubstring(command));
    CHECK_FALSE(fs::exists(written.file(name + ".md")));
  }
}

TEST_CASE("a table needs no gnuplot") {
  const Written written;
  write_measurements(written.folder.path() / "x.measured.h5", test::sample_measurements());
  const test::Called called = make_figures(written.folder.path().string() + " --only table_4", "PATH=/nowhere");
  CHECK(called.status == 0);
  for (const char* ending : {".md", ".tex", ".csv"})
    CHECK(fs::exists(written.file(std::string("table_4") + ending)));
}

TEST_CASE("tables keep the columns that are asked for, by their titles") {
  const Written written;
  test::write_experiment(written.folder.path());
  REQUIRE(written.make("table_1 --columns 'cache; held-out perplexity'").status == 0);
  const std::string csv = read_file(written.file("table_1.csv"));
  CHECK(csv.starts_with("group,arm,cache,held-out perplexity\n"));
  const Written other;
  test::write_experiment(other.folder.path());
  const auto refused = other.make("table_1 --columns 'held-out perplexty'");
  CHECK(refused.status == 2);
  CHECK_THAT(refused.err,
             ContainsSubstring("--columns: found 'held-out perplexty' (did you mean 'held-out perplexity'?)"));
  CHECK_FALSE(fs::exists(other.folder.path() / "figures"));
}

// What models write: words without an end, characters of any script, bytes that are none.
void write_odd_replies(const fs::path& results) {
  for (const char* arm : {"gqa", "mla_orthogonal_with_a_long_name"}) {
    RunHeader header = test::header_of({.arm = arm, .arm_index = arm == std::string("gqa") ? 0 : 1});
    header.prompt_bytes = header.output_bytes = 600;
    RunWriter writer = RunWriter::create(results / arm / "seed0.h5", header);
    const std::string output =
        std::string(300, '0') + "\n[1] 中文 «é» \\end{tabular} \t\xFF 50 % \"x\" #_^~$ 🙂";
    for (const int64_t step : {0, 60})
      writer.put_evaluation({.step = step, .correct = 0, .problems = 1},
                            {{.step = step, .index = 0, .prompt = "[Q] " + output, .output = output}});
    writer.set_status(RunState::complete, 60);
  }
}

TEST_CASE("a paper of two columns compiles with the tables as they are") {
  if (std::system("kpsewhich booktabs.sty >/dev/null 2>&1") != 0)
    SKIP_TEST("pdflatex with booktabs is not here");
  const Written written, texts;
  test::write_experiment(written.folder.path());
  write_measurements(written.folder.path() / "x.measured.h5", test::sample_measurements());
  write_odd_replies(texts.folder.path());
  const auto folder = written.folder.path() / "figures";
  const std::string results = written.folder.path().string();
  REQUIRE(
      make_figures(results + " --only table_1 --only table_3 --only table_4 --only table_conversion").status ==
      0);
  REQUIRE(make_figures(results + " --out " + (folder / "narrow").string() +
                       " --only table_1 --columns 'seeds; held-out perplexity'")
              .status == 0);
  REQUIRE(make_figures(texts.folder.path().string() + " --out " + folder.string() + " --only table_5").status ==
          0);
  write_file_atomic(folder / "paper.tex",
                    "\\documentclass[twocolumn]{article}\n\\usepackage{booktabs,graphicx}\n\\begin{document}\n"
                    "\\input{table_1}\n\\input{table_3}\n\\input{table_4}\n\\input{table_5}\n"
                    "\\input{table_conversion}\n\\input{narrow/table_1}\n\\end{document}\n");
  const int status = std::system(
      ("cd " + folder.string() + " && pdflatex -halt-on-error -interaction=nonstopmode paper.tex >log 2>&1")
          .c_str());
  const std::string log = read_file(folder / "paper.log");
  INFO(log);
  REQUIRE(status == 0);
  CHECK_THAT(log, !ContainsSubstring("Overfull \\hbox"));
}
