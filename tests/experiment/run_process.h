// run_ablation as a process that is watched and signalled while it works, and runs that are compared.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "catch.h"
#include "results/run_reader.h"
#include "tiny_experiment.h"

namespace attnlab::test {

// Killed at the end of the scope if it still runs.
class RunProcess {
 public:
  RunProcess(const TinyExperiment& experiment, std::vector<std::string> arguments,
             std::filesystem::path log = {})
      : log_(log.empty() ? experiment.folder.path() / "process.log" : std::move(log)) {
    arguments.insert(arguments.begin(), {(bin_dir() / "run_ablation").string(), "--threads", "1", "--config",
                                         experiment.config.string(), "--out", experiment.out.string()});
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    child_ = fork();
    if (child_ != 0) return;
    const int out = open(log_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dup2(out, 1);
    dup2(out, 2);
    execv(argv[0], argv.data());
    _exit(99);
  }
  ~RunProcess() {
    if (child_ <= 0) return;
    kill(SIGKILL);
    wait();
  }
  RunProcess(const RunProcess&) = delete;
  RunProcess& operator=(const RunProcess&) = delete;

  pid_t id() const { return child_; }
  void kill(int signal) const { ::kill(child_, signal); }
  // The exit code, or minus the signal that ended it.
  int wait() {
    int status = 0;
    waitpid(child_, &status, 0);
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  // What it has printed.
  std::string output() const { return read_file(log_); }

 private:
  std::filesystem::path log_;
  pid_t child_ = -1;
};

// Looks every `pause` for up to 60 s; false if it never came.
inline bool wait_until(const std::function<bool()>& condition,
                       std::chrono::microseconds pause = std::chrono::milliseconds(5)) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(pause);
  }
  return true;
}

inline bool has_rows(const std::filesystem::path& file, size_t count) {
  return std::filesystem::exists(file) && read_run(file, false).train.size() >= count;
}

// Saved states, whatever their names end in; those that are being written end in .tmp.
inline std::vector<std::filesystem::path> saved_states(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
    if (entry.path().filename().string().find(".state") != std::string::npos) found.push_back(entry.path());
  return found;
}

// Both complete, with the same bits in all that does not measure time.
inline void check_equal(const RunRecord& a, const RunRecord& b) {
  REQUIRE(a.state == RunState::complete);
  REQUIRE(b.state == RunState::complete);
  REQUIRE(a.train.size() == b.train.size());
  for (size_t i = 0; i < a.train.size(); ++i) {
    CHECK(a.train[i].step == b.train[i].step);
    CHECK(a.train[i].loss == b.train[i].loss);
    CHECK(a.train[i].gradient_norm == b.train[i].gradient_norm);
    CHECK(a.train[i].tokens == b.train[i].tokens);
  }
  REQUIRE(a.distillation.size() == b.distillation.size());
  for (size_t i = 0; i < a.distillation.size(); ++i) {
    CHECK(a.distillation[i].step == b.distillation[i].step);
    CHECK(a.distillation[i].divergence == b.distillation[i].divergence);
    CHECK(a.distillation[i].objective == b.distillation[i].objective);
  }
  REQUIRE(a.evaluations.size() == b.evaluations.size());
  for (size_t i = 0; i < a.evaluations.size(); ++i)
    CHECK(a.evaluations[i].heldout_loss == b.evaluations[i].heldout_loss);
  REQUIRE(a.problems.size() == b.problems.size());
  for (size_t i = 0; i < a.problems.size(); ++i) CHECK(a.problems[i].output == b.problems[i].output);
}

}  // namespace attnlab::test
