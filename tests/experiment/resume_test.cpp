// A run that is killed at any instant goes on to the loss curve of an undisturbed one, bit for bit.
#include "catch.h"
#include "core/random.h"
#include "run_process.h"

namespace attnlab {
namespace {

using test::check_equal;
using test::RunProcess;
using test::TinyExperiment;

constexpr const char* longer = "train.steps=60";

TEST_CASE("kill -9 at ten random instants: nothing flushed is lost, the curve is the same") {
  const TinyExperiment undisturbed, killed;
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(undisturbed.run(std::string("--set ") + longer).code == 0);
  const auto whole =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  Random random(20261124);
  int64_t kills = 0;
  for (int64_t i = 0; i < 10; ++i) {
    // Anywhere in the program's life, start-up and end included.
    const auto before = std::filesystem::exists(killed.file("gqa")) ? read_run(killed.file("gqa")).train
                                                                    : std::vector<TrainRow>{};
    RunProcess process(killed, {"--set", longer});
    std::this_thread::sleep_for(std::chrono::milliseconds(random.between(20, whole.count())));
    process.kill(SIGKILL);
    kills += process.wait() == -SIGKILL;
    if (!std::filesystem::exists(killed.file("gqa"))) continue;
    const RunRecord after = read_run(killed.file("gqa"));
    CHECK(after.train.size() >= before.size());
  }
  CHECK(kills > 0);
  REQUIRE(killed.run(std::string("--set ") + longer).code == 0);
  for (const char* arm : {"gqa", "orthogonal"})
    check_equal(read_run(undisturbed.file(arm)), read_run(killed.file(arm)));
}

TEST_CASE("a state that a kill left behind a complete run goes at the next start") {
  const TinyExperiment experiment;
  REQUIRE(experiment.run().code == 0);
  const auto left = experiment.out / "gqa" / "seed0.state.safetensors";
  write_file_atomic(left, "x");
  const auto again = experiment.run();
  CHECK(again.code == 0);
  CHECK_FALSE(std::filesystem::exists(left));
  CHECK(read_run(experiment.file("gqa")).state == RunState::complete);
}

TEST_CASE("Ctrl-C saves and leaves with code 130, and the same command goes on") {
  const TinyExperiment undisturbed, stopped;
  REQUIRE(undisturbed.run("--set train.steps=400 --set train.checkpoint_every=1000").code == 0);
  RunProcess process(stopped, {"--set", "train.steps=400"});
  // Once some steps are done, so that there is something to save.
  REQUIRE(test::wait_until([&] { return test::has_rows(stopped.file("gqa"), 6); }));
  process.kill(SIGINT);
  CHECK(process.wait() == 130);
  CHECK(std::filesystem::exists(stopped.out / "gqa" / "seed0.state.safetensors"));
  REQUIRE(stopped.run("--set train.steps=400").code == 0);
  const RunRecord a = read_run(undisturbed.file("gqa")), b = read_run(stopped.file("gqa"));
  REQUIRE(a.train.size() == b.train.size());
  for (size_t i = 0; i < a.train.size(); ++i) CHECK(a.train[i].loss == b.train[i].loss);
}

TEST_CASE("a signal to the parent of several jobs makes each of them save") {
  const TinyExperiment stopped;
  RunProcess process(stopped, {"--set", "train.steps=100000", "--jobs", "2"});
  REQUIRE(test::wait_until(
      [&] { return test::has_rows(stopped.file("gqa"), 6) && test::has_rows(stopped.file("orthogonal"), 6); }));
  process.kill(SIGTERM);
  CHECK(process.wait() == 130);
  for (const char* arm : {"gqa", "orthogonal"})
    CHECK(std::filesystem::exists(stopped.out / arm / "seed0.state.safetensors"));
}

}  // namespace
}  // namespace attnlab
