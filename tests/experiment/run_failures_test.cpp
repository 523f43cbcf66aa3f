// Runs that fail: the others are done all the same, and the file says why.
#include <fstream>

#include "catch.h"
#include "results/run_reader.h"
#include "tiny_experiment.h"

namespace attnlab {
namespace {

using test::TinyExperiment;

// The second arm's first update makes all its attention weights infinite or nearly so.
constexpr const char* exploding = "--set arms.orthogonal.train.lr=1e38 --set train.log_every=4 ";

TEST_CASE("a loss that is not finite fails its run at the exact step, and the other runs are done") {
  const TinyExperiment experiment;
  const auto outcome = experiment.run(std::string(exploding) + "--set seeds=[0,1]");
  INFO(outcome.output);
  CHECK(outcome.code == 1);
  for (const int64_t seed : {0, 1}) {
    CHECK(read_run(experiment.file("gqa", seed)).state == RunState::complete);
    const RunRecord run = read_run(experiment.file("orthogonal", seed));
    CHECK(run.state == RunState::failed);
    CHECK(run.last_step == 1);
    CHECK_THAT(run.message, ContainsSubstring("step 2: the loss is"));
    REQUIRE(run.nonfinite.size() == 1);
    CHECK(run.nonfinite[0].step == 2);
    CHECK_FALSE(std::isfinite(run.nonfinite[0].loss + run.nonfinite[0].gradient_norm));
    CHECK(run.train.empty());  // step 4 would have been the first row
    CHECK_THAT(outcome.output,
               ContainsSubstring("run_ablation: orthogonal seed " + std::to_string(seed) +
                                 " failed: orthogonal seed " + std::to_string(seed) + ": step 2"));
  }
  CHECK_THAT(outcome.output, ContainsSubstring("is left out: failed after step 1"));
  const auto again = experiment.run(std::string(exploding) + "--set seeds=[0,1]");
  CHECK(again.code == 1);  // and not stuck, nor complete
}

TEST_CASE("with several processes, too") {
  const TinyExperiment experiment;
  const auto outcome = experiment.run(std::string(exploding) + "--jobs 2");
  INFO(outcome.output);
  CHECK(outcome.code == 1);
  CHECK(read_run(experiment.file("gqa")).state == RunState::complete);
  CHECK_THAT(outcome.output, ContainsSubstring("held-out loss"));  // the verdict over what there is
}

TEST_CASE("with on_nonfinite: skip the run goes on, and file and verdict name the steps") {
  const TinyExperiment experiment;
  const auto outcome = experiment.run(std::string(exploding) + "--set train.on_nonfinite=skip");
  INFO(outcome.output);
  CHECK(outcome.code == 0);
  const RunRecord run = read_run(experiment.file("orthogonal"));
  CHECK(run.state == RunState::complete);
  REQUIRE(run.nonfinite.size() == 5);
  for (size_t i = 0; i < 5; ++i) CHECK(run.nonfinite[i].step == static_cast<int64_t>(i) + 2);
  CHECK(run.train.empty());
  CHECK_THAT(outcome.output, ContainsSubstring("orthogonal seed 0: step 2: the loss is") &&
                                 ContainsSubstring("5 steps with a loss or gradient that is not finite were "
                                                   "skipped, the first is 2"));
  CHECK(read_run(experiment.file("gqa")).nonfinite.empty());
}

// Stops a run of 40 steps after some and returns its newest state.
std::filesystem::path stopped_state(const TinyExperiment& experiment, const std::string& settings) {
  // The shell's limit on the size of a file ends the first arm's run in the middle; its last state stays.
  const std::string program = test::bin_dir().string() + "/run_ablation --threads 1 --config " +
                              experiment.config.string() + " --out " + experiment.out.string() + settings;
  const auto log = experiment.folder.path() / "log";
  (void)!std::system(
      ("bash -c \"trap '' XFSZ; ulimit -f 48; exec " + program + "\" >" + log.string() + " 2>&1").c_str());
  return experiment.out / "gqa" / "seed0.state.safetensors";
}

TEST_CASE("a damaged state is named with what to delete, and then the run starts over to the same curve") {
  const std::string settings = " --set train.steps=400 --set train.checkpoint_every=5 --set eval.every=0";
  const TinyExperiment undisturbed, damaged;
  REQUIRE(undisturbed.run(settings).code == 0);
  const auto state = stopped_state(damaged, settings);
  REQUIRE(std::filesystem::exists(state));
  std::filesystem::resize_file(state, std::filesystem::file_size(state) - 1);
  const auto outcome = damaged.run(settings);
  INFO(outcome.output);
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.output, ContainsSubstring(state.string() + ": found a damaged state") &&
                                 ContainsSubstring("delete it to start this run over"));
  CHECK(read_run(damaged.file("gqa")).state == RunState::failed);
  CHECK(read_run(damaged.file("orthogonal")).state == RunState::complete);
  std::filesystem::remove(state);
  REQUIRE(damaged.run(settings).code == 0);
  const RunRecord a = read_run(undisturbed.file("gqa")), b = read_run(damaged.file("gqa"));
  REQUIRE(a.train.size() == b.train.size());
  for (size_t i = 0; i < a.train.size(); ++i) CHECK(a.train[i].loss == b.train[i].loss);
}

TEST_CASE("with keep_checkpoints the state before a damaged one is taken, with a note, to the same curve") {
  const std::string settings =
      " --set train.steps=400 --set train.checkpoint_every=5 --set eval.every=0 --set train.keep_checkpoints=2";
  const TinyExperiment undisturbed, damaged;
  REQUIRE(undisturbed.run(settings).code == 0);
  const auto state = stopped_state(damaged, settings);
  REQUIRE(std::filesystem::exists(state));
  REQUIRE(std::filesystem::exists(state.parent_path() / "seed0.state.1.safetensors"));
  std::filesystem::resize_file(state, std::filesystem::file_size(state) / 2);
  const auto outcome = damaged.run(settings);
  INFO(outcome.output);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.output, ContainsSubstring("found a damaged state") &&
                                 ContainsSubstring("going on from an older one, step "));
  const RunRecord a = read_run(undisturbed.file("gqa")), b = read_run(damaged.file("gqa"));
  REQUIRE(a.train.size() == b.train.size());
  for (size_t i = 0; i < a.train.size(); ++i) CHECK(a.train[i].loss == b.train[i].loss);
  for (const auto& entry : std::filesystem::directory_iterator(damaged.out / "gqa"))
    CHECK(entry.path().filename().string().find(".state") == std::string::npos);
}

}  // namespace
}  // namespace attnlab
