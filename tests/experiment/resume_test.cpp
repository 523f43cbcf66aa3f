// A run that is killed at any instant goes on to the loss curve of an undisturbed one, bit for bit.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "catch.h"
#include "core/random.h"
#include "results/run_file.h"
#include "tiny_experiment.h"

namespace attnlab {
namespace {

using test::TinyExperiment;

pid_t start(const TinyExperiment& experiment, const std::string& overrides, const char* jobs = "1") {
  const std::string program = (test::bin_dir() / "run_ablation").string(), config = experiment.config.string(),
                    out = experiment.out.string();
  const pid_t child = fork();
  if (child != 0) return child;
  const int null = open("/dev/null", O_WRONLY);
  dup2(null, 1);
  dup2(null, 2);
  execl(program.c_str(), program.c_str(), "--threads", "1", "--config", config.c_str(), "--out", out.c_str(),
        "--jobs", jobs, "--set", overrides.c_str(), nullptr);
  _exit(99);
}

// Sends a signal after some time; returns the exit code, or -1 if the child died of a signal.
int run_for(const TinyExperiment& experiment, const std::string& overrides, std::chrono::milliseconds time,
            int signal) {
  const pid_t child = start(experiment, overrides);
  std::this_thread::sleep_for(time);
  kill(child, signal);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void check_equal(const RunRecord& a, const RunRecord& b) {
  REQUIRE(a.state == RunState::complete);
  REQUIRE(b.state == RunState::complete);
  REQUIRE(a.train.size() == b.train.size());
  for (size_t i = 0; i < a.train.size(); ++i) {
    CHECK(a.train[i].step == b.train[i].step);
    CHECK(a.train[i].loss == b.train[i].loss);
    CHECK(a.train[i].gradient_norm == b.train[i].gradient_norm);
    CHECK(a.train[i].tokens == b.train[i].tokens);
  }
  REQUIRE(a.evaluations.size() == b.evaluations.size());
  for (size_t i = 0; i < a.evaluations.size(); ++i)
    CHECK(a.evaluations[i].heldout_loss == b.evaluations[i].heldout_loss);
  REQUIRE(a.problems.size() == b.problems.size());
  for (size_t i = 0; i < a.problems.size(); ++i) CHECK(a.problems[i].output == b.problems[i].output);
}

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
    kills +=
        run_for(killed, longer, std::chrono::milliseconds(random.between(20, whole.count())), SIGKILL) == -1;
    if (!std::filesystem::exists(killed.file("gqa"))) continue;
    const RunRecord after = read_run(killed.file("gqa"));
    CHECK(after.train.size() >= before.size());
  }
  CHECK(kills > 0);
  REQUIRE(killed.run(std::string("--set ") + longer).code == 0);
  for (const char* arm : {"gqa", "orthogonal"})
    check_equal(read_run(undisturbed.file(arm)), read_run(killed.file(arm)));
}

TEST_CASE("Ctrl-C saves and leaves with code 130, and the same command goes on") {
  const TinyExperiment undisturbed, stopped;
  REQUIRE(undisturbed.run("--set train.steps=400 --set train.checkpoint_every=1000").code == 0);
  const pid_t child = start(stopped, "train.steps=400");
  // Once some steps are done, so that there is something to save.
  for (int i = 0; i < 2000; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if (std::filesystem::exists(stopped.file("gqa")) && read_run(stopped.file("gqa"), false).train.size() > 5)
      break;
  }
  kill(child, SIGINT);
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 130);
  CHECK(std::filesystem::exists(stopped.out / "gqa" / "seed0.state.safetensors"));
  REQUIRE(stopped.run("--set train.steps=400").code == 0);
  const RunRecord a = read_run(undisturbed.file("gqa")), b = read_run(stopped.file("gqa"));
  REQUIRE(a.train.size() == b.train.size());
  for (size_t i = 0; i < a.train.size(); ++i) CHECK(a.train[i].loss == b.train[i].loss);
}

TEST_CASE("a signal to the parent of several jobs makes each of them save") {
  const TinyExperiment stopped;
  const pid_t child = start(stopped, "train.steps=100000", "2");
  const auto begun = [&](const char* arm) {
    return std::filesystem::exists(stopped.file(arm)) && read_run(stopped.file(arm), false).train.size() > 5;
  };
  for (int i = 0; i < 4000 && !(begun("gqa") && begun("orthogonal")); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  kill(child, SIGTERM);
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 130);
  for (const char* arm : {"gqa", "orthogonal"})
    CHECK(std::filesystem::exists(stopped.out / arm / "seed0.state.safetensors"));
}

}  // namespace
}  // namespace attnlab
