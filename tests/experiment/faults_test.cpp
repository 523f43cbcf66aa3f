// Disks and files that fail: one clear line, nothing flushed is lost, and without the fault the same command
// ends with the undisturbed curve.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "catch.h"
#include "core/files.h"
#include "run_process.h"
#include "small_disk.h"

namespace attnlab {
namespace {

namespace fs = std::filesystem;
using test::check_equal;
using test::RunProcess;
using test::SmallDisk;
using test::TinyExperiment;

// States of some hundred KB, after every step.
const std::string heavy = " --set train.trainable=all --set train.checkpoint_every=1 ";
const std::vector<std::string> heavy_arguments{"--set", "train.trainable=all", "--set",
                                               "train.checkpoint_every=1"};

std::vector<std::string> with(std::vector<std::string> arguments, const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

// What ends the program: one line for each run that failed, and no other error.
void check_clear_errors(const std::string& output) {
  INFO(output);
  std::set<std::string> failed;
  size_t errors = 0;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("run_ablation: ")) continue;
    ++errors;
    failed.insert(line.substr(0, line.find(" failed: ")));
  }
  CHECK(errors >= 1);
  CHECK(failed.size() == errors);
}

void check_rows_kept(const std::vector<TrainRow>& before, const fs::path& file) {
  const RunRecord after = read_run(file);
  REQUIRE(after.train.size() >= before.size());
  for (size_t i = 0; i < before.size(); ++i) CHECK(after.train[i].loss == before[i].loss);
}

void check_ends_undisturbed(const TinyExperiment& faulty, const std::string& arguments) {
  const TinyExperiment undisturbed;
  REQUIRE(undisturbed.run(arguments).code == 0);
  const auto outcome = faulty.run(arguments);
  INFO(outcome.output);
  REQUIRE(outcome.code == 0);
  for (const char* arm : {"gqa", "orthogonal"})
    check_equal(read_run(undisturbed.file(arm)), read_run(faulty.file(arm)));
}

// The shell's limit on the size of a file stands in for a full disk: what grows past it hits it.
test::Ran run_with_largest_file(const TinyExperiment& experiment, int64_t kilobytes,
                                const std::string& arguments) {
  const std::string program = (test::bin_dir() / "run_ablation").string(),
                    log = (experiment.folder.path() / "log").string();
  const int status = std::system(
      fmt::format("bash -c \"trap '' XFSZ; ulimit -f {}; exec {} --threads 1 --config {} "
                  "--out {} {}\" >{} 2>&1",
                  kilobytes, program, experiment.config.string(), experiment.out.string(), arguments, log)
          .c_str());
  return {.code = WEXITSTATUS(status), .output = read_file(log)};
}

TEST_CASE("a run file that cannot grow marks the run failed, and with room again it goes on") {
  const TinyExperiment experiment;
  const auto outcome = run_with_largest_file(experiment, 40, "");
  CHECK(outcome.code == 1);
  check_clear_errors(outcome.output);
  const RunRecord failed = read_run(experiment.file("gqa"));
  CHECK(failed.state == RunState::failed);
  CHECK_THAT(failed.message, ContainsSubstring("seed0.h5") && ContainsSubstring("File too large"));
  check_ends_undisturbed(experiment, "");
}

TEST_CASE("a state that cannot be written fails the run and keeps its rows and the state before") {
  const TinyExperiment experiment;
  const auto outcome = run_with_largest_file(experiment, 150, heavy);
  CHECK(outcome.code == 1);
  check_clear_errors(outcome.output);
  CHECK_THAT(outcome.output, ContainsSubstring(".state") && ContainsSubstring("File too large"));
  const RunRecord failed = read_run(experiment.file("gqa"));
  CHECK(failed.state == RunState::failed);
  CHECK(failed.train.size() == 1);
  check_ends_undisturbed(experiment, heavy);
}

TEST_CASE("a disk that fills up while a run goes on costs no row") {
  TinyExperiment experiment;
  const SmallDisk disk(experiment.folder.path() / "disk", "8m");
  if (!disk.mounted) SKIP_TEST("this user may not mount a small disk");
  experiment.out = disk.folder / "out";
  const std::string longer = heavy + "--set train.steps=300 --set eval.every=0";
  RunProcess process(experiment, with(heavy_arguments, {"--set", "train.steps=300", "--set", "eval.every=0"}));
  REQUIRE(test::wait_until([&] { return test::has_rows(experiment.file("gqa"), 10); }));
  const auto before = read_run(experiment.file("gqa"), false).train;
  disk.fill();
  CHECK(process.wait() == 1);
  check_clear_errors(process.output());
  CHECK_THAT(process.output(), ContainsSubstring("No space left on device"));
  CHECK(read_run(experiment.file("gqa")).state == RunState::failed);
  check_rows_kept(before, experiment.file("gqa"));
  // Nor does a start on the full disk.
  CHECK(experiment.run(longer).code == 1);
  check_rows_kept(before, experiment.file("gqa"));
  disk.make_room();
  check_ends_undisturbed(experiment, longer);
}

// Stopped in its first run, with a state.
void run_partly(const TinyExperiment& experiment) {
  RunProcess process(experiment, {"--set", "train.steps=200"});
  REQUIRE(test::wait_until([&] { return test::has_rows(experiment.file("gqa"), 6); }));
  process.kill(SIGTERM);
  REQUIRE(process.wait() == 130);
  REQUIRE_FALSE(test::saved_states(experiment.out / "gqa").empty());
}

TEST_CASE("a results folder that cannot be written to is named, and nothing changes") {
  TinyExperiment experiment;
  const SmallDisk disk(experiment.folder.path() / "disk", "8m");
  if (!disk.mounted) SKIP_TEST("this user may not mount a small disk");
  experiment.out = disk.folder / "out";
  REQUIRE(disk.set_read_only(true));
  const auto fresh = experiment.run();
  CHECK(fresh.code == 1);
  CHECK_THAT(fresh.output,
             ContainsSubstring(experiment.out.string()) && ContainsSubstring("Read-only file system"));
  check_clear_errors(fresh.output);
  REQUIRE(disk.set_read_only(false));
  run_partly(experiment);
  REQUIRE(disk.set_read_only(true));
  const std::string before = sha256_tree(experiment.out);
  const auto begun = experiment.run("--set train.steps=200");
  CHECK(begun.code == 1);
  CHECK_THAT(begun.output, ContainsSubstring("Read-only file system"));
  check_clear_errors(begun.output);
  CHECK(sha256_tree(experiment.out) == before);
  REQUIRE(disk.set_read_only(false));
  check_ends_undisturbed(experiment, "--set train.steps=200");
  REQUIRE(disk.set_read_only(true));
  CHECK(experiment.run("--set train.steps=200").code == 0);  // nothing left to write: the verdict
}

TEST_CASE("a truncated state is named, the rows stay, and without it the run is done again") {
  const TinyExperiment experiment;
  run_partly(experiment);
  const auto before = read_run(experiment.file("gqa"), false).train;
  for (const auto& state : test::saved_states(experiment.out / "gqa"))
    fs::resize_file(state, fs::file_size(state) / 2);
  const auto outcome = experiment.run("--set train.steps=200");
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.output, ContainsSubstring("gqa/seed0.state"));
  check_clear_errors(outcome.output);
  check_rows_kept(before, experiment.file("gqa"));
  for (const auto& state : test::saved_states(experiment.out / "gqa")) fs::remove(state);
  check_ends_undisturbed(experiment, "--set train.steps=200");
}

TEST_CASE("a damaged run file is named and left alone, and moved away the run is done again") {
  const TinyExperiment experiment;
  run_partly(experiment);
  const fs::path file = experiment.file("gqa");
  const std::string whole = read_file(file);
  std::string zeroed = whole;  // the tables' places, as after a power cut
  std::fill(zeroed.begin() + 48, zeroed.begin() + 4096, '\0');
  for (const std::string& damaged : {whole.substr(0, whole.size() / 2), whole.substr(0, 700), zeroed}) {
    write_file_atomic(file, damaged);
    const auto outcome = experiment.run("--set train.steps=200");
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.output, ContainsSubstring("gqa/seed0.h5: a damaged run file (") &&
                                   ContainsSubstring("moved away, the same command makes it anew"));
    check_clear_errors(outcome.output);
    CHECK(read_file(file) == damaged);
  }
  fs::rename(file, experiment.folder.path() / "moved.h5");
  check_ends_undisturbed(experiment, "--set train.steps=200");
}

// Signals when a state is being written.
void signal_in_save(const TinyExperiment& experiment, const RunProcess& process, int signals) {
  const auto is_saving = [&] {
    const auto states = test::saved_states(experiment.out / "gqa");
    return std::any_of(states.begin(), states.end(),
                       [](const auto& path) { return path.extension() == ".tmp"; });
  };
  REQUIRE(test::wait_until(is_saving, std::chrono::microseconds(20)));
  for (int i = 0; i < signals; ++i) process.kill(SIGTERM);
}

TEST_CASE("SIGTERM while a state is written: it is finished, and the run goes on from it") {
  const std::string longer = heavy + "--set train.steps=40";
  for (const int signals : {1, 2}) {
    INFO(signals << " signals");
    const TinyExperiment experiment;
    for (int stop = 0; stop < 3; ++stop) {
      RunProcess process(experiment, with(heavy_arguments, {"--set", "train.steps=40"}));
      signal_in_save(experiment, process, signals);
      const int code = process.wait();
      INFO(process.output());
      // The second one ends it at once, unless both came as one.
      CHECK((code == 130 || (signals == 2 && code == -SIGTERM)));
      if (code == 130) {
        const auto states = test::saved_states(experiment.out / "gqa");
        CHECK(std::none_of(states.begin(), states.end(),
                           [](const auto& path) { return path.extension() == ".tmp"; }));
      }
    }
    check_ends_undisturbed(experiment, longer);
  }
}

}  // namespace
}  // namespace attnlab
