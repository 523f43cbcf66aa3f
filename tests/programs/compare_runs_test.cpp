// compare_runs as a user calls it. What the verdict and the curves say is tested in tests/compare.
#include "paper_figs/sample_runs.h"
#include "run_program.h"

namespace attnlab {
namespace {

using test::check_refused;
using test::run_program;
using test::SampleRun;

// Two arms with two seeds.
std::filesystem::path write_runs(const test::TemporaryFolder& folder, const SampleRun& common = {}) {
  const auto results = folder.path() / common.experiment;
  for (const auto& [arm, index] : {std::pair{"gqa", 0}, {"mla_identity", 1}})
    for (const int64_t seed : {0, 1}) {
      SampleRun run = common;
      run.arm = arm;
      run.arm_index = index;
      run.seed = seed;
      test::write_run(results, run);
    }
  return results;
}

TEST_CASE(
    "compare_runs without a metric prints the verdict, and only of several experiments what they differ in") {
  const test::TemporaryFolder folder;
  const auto one = write_runs(folder), two = write_runs(folder, {.steps = 40, .experiment = "other"});
  const auto alone = run_program("compare_runs " + one.string());
  CHECK(alone.code == 0);
  CHECK_THAT(alone.out, ContainsSubstring("minus gqa") && !ContainsSubstring("differ in"));
  CHECK_THAT(run_program("compare_runs " + one.string() + " " + two.string()).out,
             ContainsSubstring("other/mla_identity") && ContainsSubstring("minus sample/gqa"));
}

TEST_CASE("compare_runs draws curves with letters where the locale has no Unicode") {
  const test::TemporaryFolder folder;
  const std::string results = write_runs(folder).string();
  setenv("LC_ALL", "C", 1);
  const auto plain = run_program("compare_runs --metric loss --align tokens " + results);
  setenv("LC_ALL", "C.UTF-8", 1);
  const auto braille = run_program("compare_runs --metric loss --align tokens " + results);
  unsetenv("LC_ALL");
  CHECK(plain.code == 0);
  CHECK(plain.out.find("\u2800") == std::string::npos);
  CHECK_THAT(plain.out, ContainsSubstring("trained tokens") &&
                            ContainsSubstring("A gqa, n=2   B mla_identity, n=2") &&
                            ContainsSubstring("+-----"));
  CHECK_THAT(braille.out, ContainsSubstring("└─────") && ContainsSubstring("⡄"));
  CHECK(plain.out.find('\033') == std::string::npos);
}

TEST_CASE("compare_runs shows a run while its writer has it open") {
  const test::TemporaryFolder folder;
  const auto results = write_runs(folder);
  const SampleRun run{.arm = "mla_orthogonal", .arm_index = 2};
  RunHeader header = test::header_of(run);
  header.config = {{"train.steps", int64_t{60}}};
  RunWriter writer = RunWriter::create(results / "mla_orthogonal" / "seed0.h5", header);
  for (int64_t step = 1; step <= 23; ++step) writer.put_train(test::train_row(run, step));
  const auto early = run_program("compare_runs --metric loss " + results.string());
  CHECK(early.code == 0);
  CHECK_THAT(early.out, ContainsSubstring("mla_orthogonal/seed0.h5: running, step 23 of 60") &&
                            ContainsSubstring("C mla_orthogonal, n=1"));
  for (int64_t step = 24; step <= 30; ++step) writer.put_train(test::train_row(run, step));
  CHECK_THAT(run_program("compare_runs --metric loss " + results.string()).out,
             ContainsSubstring("running, step 30 of 60"));
  CHECK_THAT(run_program("compare_runs " + results.string()).out,
             ContainsSubstring("seed0.h5 is left out: running, step 30 of 60"));
}

TEST_CASE("compare_runs draws its curves as a figure, in one file or a folder of all forms") {
  if (!test::has_gnuplot()) SKIP_TEST("no gnuplot");
  const test::TemporaryFolder folder;
  const std::string results = write_runs(folder).string();
  const auto figure = folder.path() / "deep" / "loss.svg", all = folder.path() / "all";
  const auto one =
      run_program("compare_runs --metric loss --align flops --out " + figure.string() + " " + results);
  INFO(one.err);
  CHECK(one.code == 0);
  CHECK_THAT(read_file(figure), ContainsSubstring("training FLOPs"));
  CHECK(run_program("compare_runs --metric heldout --out " + all.string() + " " + results).code == 0);
  for (const char* ending : {"png", "pdf", "svg", "csv"})
    CHECK(std::filesystem::exists(all / (std::string("comparison.") + ending)));
  CHECK_THAT(read_file(all / "comparison.csv"), ContainsSubstring("arm,sweep_point,seeds,steps,mean") &&
                                                    ContainsSubstring("\nmla_identity,,2,60,"));
  // The same input gives the same bytes.
  const std::string first = read_file(figure);
  run_program("compare_runs --metric loss --align flops --out " + figure.string() + " " + results);
  CHECK(read_file(figure) == first);
}

TEST_CASE("compare_runs takes the page that make_figures takes") {
  if (!test::has_gnuplot()) SKIP_TEST("gnuplot is not here");
  const test::TemporaryFolder folder;
  const std::string results = write_runs(folder).string();
  const auto out = folder.path() / "fig";
  write_file_atomic(folder.path() / "labels.yaml", "gqa: the base\n");
  CHECK(run_program("compare_runs --metric loss --width 84mm --no-title --labels " +
                    (folder.path() / "labels.yaml").string() + " --out " + out.string() + " " + results)
            .code == 0);
  CHECK_THAT(read_file(out / "comparison.svg"), ContainsSubstring("the base"));
  CHECK(std::filesystem::exists(out / "comparison.txt"));
  check_refused("compare_runs --metric loss --width 84km --out " + out.string() + " " + results,
                "--width: found '84km'");
}

TEST_CASE("compare_runs takes differences to the baseline in its figure, too") {
  if (!test::has_gnuplot()) SKIP_TEST("no gnuplot");
  const test::TemporaryFolder folder;
  const std::string results = write_runs(folder).string();
  const auto out = folder.path() / "fig";
  CHECK(run_program("compare_runs --metric loss --baseline mla_identity --out " + out.string() + " " + results)
            .code == 0);
  const std::string csv = read_file(out / "comparison.csv");
  // The baseline's rows end in empty differences, the other arm's do not.
  CHECK_THAT(csv, ContainsSubstring(",,,\n"));
  const auto row = csv.substr(csv.find("\ngqa,") + 1);
  CHECK_FALSE(row.substr(0, row.find('\n')).ends_with(",,"));
}

TEST_CASE("compare_runs refuses what it cannot do, in one line") {
  const test::TemporaryFolder folder;
  const std::string results = write_runs(folder).string();
  check_refused("compare_runs", "no RESULTS given");
  check_refused("compare_runs " + results + "/none", "none");
  check_refused("compare_runs --metric lss " + results, "did you mean 'loss'?");
  check_refused(
      "compare_runs --metric loss --align token " + results,
      "--align: found 'token' (did you mean 'tokens'?), expected one of tokens, steps, seconds, flops");
  check_refused("compare_runs --metric loss --smooth=-1 " + results, "--smooth: found -1");
  check_refused("compare_runs --metric loss --smooth 61 " + results, "--smooth: found 61");
  check_refused("compare_runs --metric loss --baseline gqq " + results, "did you mean 'gqa'?");
  check_refused("compare_runs --metric loss --out x.jpg " + results,
                "--out: found 'x.jpg', expected a folder, or a file that ends in .png, .pdf or .svg");
  for (const char* option : {"--align tokens", "--smooth 3", "--out x.png", "--unfinished"})
    check_refused(std::string("compare_runs ") + option + " " + results, "expected --metric NAME beside it");
}

TEST_CASE("compare_runs draws a figure for each sweep point, whose name then stands in the file's") {
  if (!test::has_gnuplot()) SKIP_TEST("no gnuplot");
  const test::TemporaryFolder folder;
  const auto results = write_runs(folder, {.sweep_point = "train.lr=1"});
  write_runs(folder, {.sweep_point = "train.lr=2"});
  const test::Ran outcome = run_program("compare_runs --metric loss --out " +
                                        (folder.path() / "x.png").string() + " " + results.string());
  INFO(outcome.err);
  CHECK(outcome.code == 0);
  CHECK_FALSE(std::filesystem::exists(folder.path() / "x.png"));
  for (const char* name : {"x-train.lr_1.png", "x-train.lr_2.png"}) {
    INFO(name);
    CHECK(std::filesystem::exists(folder.path() / name));
    CHECK_THAT(outcome.out, ContainsSubstring(name));
  }
}

TEST_CASE("compare_runs draws no figure of an arm whose seeds have no place in common") {
  if (!test::has_gnuplot()) SKIP_TEST("no gnuplot");
  const test::TemporaryFolder folder;
  const auto results = folder.path() / "sample", out = folder.path() / "fig";
  for (const int64_t seed : {0, 1})
    test::write_run(results,
                    {.seed = seed, .steps = 20 + seed, .evaluate_every = 20 + seed, .at_start = false});
  check_refused("compare_runs --metric heldout --out " + out.string() + " " + results.string(),
                "expected an axis on which seeds of an arm have places in common");
  CHECK_FALSE(std::filesystem::exists(out));
  CHECK(run_program("compare_runs --metric heldout " + results.string()).code == 0);
}

}  // namespace
}  // namespace attnlab
