// What goes wrong with the program: exit codes, one line, nothing half written.
#include "catch.h"
#include "results/run_file.h"
#include "tiny_experiment.h"

namespace attnlab {
namespace {

using test::TinyExperiment;

TEST_CASE("bad command lines and configs end in one line and code 2, and write nothing") {
  const TinyExperiment experiment;
  for (const char* bad :
       {"--colour", "stray", "--jobs 0", "--jobs x", "--shard 3/2", "--set train.lr", "--set train.lrr=1",
        "--set base.eos_token=nope", "--set data.kind=gsm8k", "--threads -1"}) {
    INFO(bad);
    const auto outcome = experiment.run(bad);
    CHECK(outcome.code == 2);
    CHECK(std::count(outcome.output.begin(), outcome.output.end(), '\n') == 1);
    CHECK(outcome.output.starts_with("run_ablation: "));
    CHECK_FALSE(std::filesystem::exists(experiment.out));
  }
  CHECK(test::run_program("run_ablation", experiment.folder.path() / "log").code == 2);
}

TEST_CASE("the option --help shows an example and the exit codes") {
  const TinyExperiment experiment;
  const auto outcome = experiment.run("--help");
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.output,
             ContainsSubstring("Example: run_ablation") && ContainsSubstring("130 interrupted"));
}

TEST_CASE("the results of another config are not touched, and the difference is named") {
  const TinyExperiment experiment;
  REQUIRE(experiment.run().code == 0);
  const std::string before = sha256_file(experiment.file("gqa"));
  const auto outcome = experiment.run("--set train.steps=7");
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.output,
             ContainsSubstring("gqa/seed0.h5") && ContainsSubstring("train.steps: 6 against 7"));
  CHECK(sha256_file(experiment.file("gqa")) == before);
}

TEST_CASE("a file that is no run file is named") {
  const TinyExperiment experiment;
  write_file_atomic(experiment.file("gqa"), "not HDF5");
  const auto outcome = experiment.run();
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.output, ContainsSubstring("gqa/seed0.h5"));
  CHECK(read_file(experiment.file("gqa")) == "not HDF5");
}

}  // namespace
}  // namespace attnlab
