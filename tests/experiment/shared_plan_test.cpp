// Several processes on one plan: each run is done once, and as a single process does it.
#include "catch.h"
#include "core/files.h"
#include "run_process.h"

namespace attnlab {
namespace {

using test::check_equal;
using test::RunProcess;
using test::TinyExperiment;

int64_t count_of(const std::string& text, const std::string& part) {
  int64_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST_CASE("two processes started at once on one plan and folder share its runs, none is run twice") {
  const TinyExperiment single, shared;
  const std::vector<std::string> arguments{"--set", "seeds=[0,1,2]", "--set", "train.steps=40"};
  REQUIRE(single.run("--set seeds=[0,1,2] --set train.steps=40").code == 0);
  std::string output;
  {
    RunProcess a(shared, arguments, shared.folder.path() / "a.log");
    RunProcess b(shared, arguments, shared.folder.path() / "b.log");
    CHECK(a.wait() == 0);
    CHECK(b.wait() == 0);
    output = a.output() + b.output();
  }
  INFO(output);
  for (const char* arm : {"gqa", "orthogonal"})
    for (const int64_t seed : {0, 1, 2}) {
      check_equal(read_run(single.file(arm, seed)), read_run(shared.file(arm, seed)));
      // Said when a run begins from nothing, and by who begins it.
      CHECK(count_of(output, std::string(arm) + " seed " + std::to_string(seed) + ": converted to") == 1);
    }
}

TEST_CASE("runs that start from one calibrated conversion wait for the process that makes it") {
  const char* arms =
      "arms=[{name: base, variant: gqa}, {name: v5, variant: mla_deepseek, options: {freqfold: 1}}]";
  const TinyExperiment single, shared;
  const std::vector<std::string> arguments{"--set", arms, "--set", "seeds=[0,1]", "--set", "data.size=2000"};
  RunProcess alone(single, arguments);
  const int code = alone.wait();
  INFO(alone.output());
  REQUIRE(code == 0);
  RunProcess a(shared, arguments, shared.folder.path() / "a.log");
  RunProcess b(shared, arguments, shared.folder.path() / "b.log");
  CHECK(a.wait() == 0);
  CHECK(b.wait() == 0);
  CHECK(count_of(a.output() + b.output(), "v5: converting to mla_deepseek") == 1);
  for (const int64_t seed : {0, 1})
    check_equal(read_run(single.file("v5", seed)), read_run(shared.file("v5", seed)));
}

TEST_CASE("a run that another process holds is passed over and named") {
  const TinyExperiment experiment;
  {
    FileLock held(experiment.out / "gqa" / ".seed0.lock");
    REQUIRE(held.try_lock());
    const auto outcome = experiment.run();
    INFO(outcome.output);
    CHECK(outcome.code == 0);
    CHECK_THAT(outcome.output, ContainsSubstring("left to other processes: gqa seed 0 (") &&
                                   ContainsSubstring("process " + std::to_string(getpid())));
    CHECK_FALSE(std::filesystem::exists(experiment.file("gqa")));
    CHECK(read_state(experiment.file("orthogonal")) == RunState::complete);
  }
  CHECK(experiment.run().code == 0);
  CHECK(read_state(experiment.file("gqa")) == RunState::complete);
}

TEST_CASE("a run whose process was killed is taken up by one that has nothing else left") {
  const TinyExperiment experiment;
  auto held = std::make_unique<FileLock>(experiment.out / "gqa" / ".seed0.lock");
  REQUIRE(held->try_lock());
  RunProcess process(experiment, {"--set", "train.steps=300"});
  // It passed gqa over when it begins the second run; then the lock is freed, as a kill would.
  REQUIRE(test::wait_until([&] { return std::filesystem::exists(experiment.file("orthogonal")); }));
  held.reset();
  const int code = process.wait();
  INFO(process.output());
  CHECK(code == 0);
  CHECK(read_state(experiment.file("gqa")) == RunState::complete);
  CHECK(process.output().find("left to other processes") == std::string::npos);
}

}  // namespace
}  // namespace attnlab
