// What a reader and a resumed run find after kill -9 at a random instant.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include "catch.h"
#include "core/random.h"
#include "results/run_reader.h"
#include "sample_run.h"

namespace attnlab {
namespace {
using namespace test;

constexpr int64_t evaluate_every = 7;

void report(int pipe_end, int64_t value) {
  if (::write(pipe_end, &value, sizeof value) != sizeof value) ::_exit(3);
}

// Writes rows as fast as it can from `first` on; reports +step for each train row and -step for each
// evaluation after its put has returned.
[[noreturn]] void write_until_killed(const std::filesystem::path& path, bool resume, int64_t first,
                                     int pipe_end) {
  RunWriter writer = resume ? RunWriter::resume(path) : RunWriter::create(path, sample_header());
  report(pipe_end, 0);
  for (int64_t step = first;; ++step) {
    writer.put_train(sample_train(step));
    report(pipe_end, step);
    if (step % evaluate_every != 0) continue;
    writer.put_evaluation(sample_evaluation(step), sample_problems(step));
    report(pipe_end, -step);
  }
}

struct Reported {
  int64_t train = 0, evaluation = 0;
  bool started = false;
};

// Runs the writer in a child, kills it after `microseconds` of writing, and returns what it had reported.
Reported run_and_kill(const std::filesystem::path& path, bool resume, int64_t first, int64_t microseconds) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) write_until_killed(path, resume, first, ends[1]);
  ::close(ends[1]);
  Reported reported;
  int64_t value = 0;
  std::thread killer;
  while (::read(ends[0], &value, sizeof value) == sizeof value) {
    if (!reported.started)
      killer = std::thread([=] {
        std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
        ::kill(child, SIGKILL);
      });
    reported.started = true;
    if (value > 0) reported.train = value;
    if (value < 0) reported.evaluation = -value;
  }
  if (killer.joinable()) killer.join();
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return reported;
}

// All rows up to the reported ones are there, with all their bits, and nothing but true rows.
void check_rows(const RunRecord& record, const Reported& reported) {
  REQUIRE(static_cast<int64_t>(record.train.size()) >= reported.train);
  bool train_good = true, evaluations_good = true, problems_good = true;
  for (size_t i = 0; i < record.train.size(); ++i)
    train_good &= same_row(record.train[i], sample_train(static_cast<int64_t>(i) + 1));
  REQUIRE(static_cast<int64_t>(record.evaluations.size()) >= reported.evaluation / evaluate_every);
  REQUIRE(record.problems.size() == record.evaluations.size() * 3);
  for (size_t i = 0; i < record.evaluations.size(); ++i) {
    const int64_t step = static_cast<int64_t>(i + 1) * evaluate_every;
    evaluations_good &= same_row(record.evaluations[i], sample_evaluation(step));
    for (size_t j = 0; j < 3; ++j)
      problems_good &= same_row(record.problems[i * 3 + j], sample_problems(step)[j]);
  }
  CHECK(train_good);
  CHECK(evaluations_good);
  CHECK(problems_good);
}

int64_t rounds() {
  const char* wanted = std::getenv("ATTNLAB_KILL_ROUNDS");
  return wanted ? std::atoll(wanted) : 12;
}

TEST_CASE("no flushed row is lost when the writer is killed at any instant, and the run goes on") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "seed0.h5";
  Random random(20);
  Reported reported;
  int64_t first = 1, written = 0;
  for (int64_t round = 0; round < rounds(); ++round) {
    reported = run_and_kill(path, round > 0, first, random.between(0, 60'000));
    REQUIRE(reported.started);
    const RunRecord record = read_run(path);
    CHECK(record.state == RunState::running);
    reported.train = std::max(reported.train, written);
    check_rows(record, reported);
    written = static_cast<int64_t>(record.train.size());
    // As after a restart from an older checkpoint: the last rows are written again.
    first = std::max<int64_t>(1, written - random.between(0, 20));
  }
  RunWriter writer = RunWriter::resume(path);
  CHECK(static_cast<int64_t>(writer.train().size()) == written);
  writer.put_train(sample_train(written + 1));
  writer.set_status(RunState::complete, written + 1);
  check_rows(read_run(path), {.train = written + 1});
  CHECK(read_state(path) == RunState::complete);
}

TEST_CASE("a kill during resume leaves the old file or the new one") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "seed0.h5";
  {
    RunWriter writer = RunWriter::create(path, sample_header());
    for (int64_t step = 1; step <= 40; ++step) writer.put_train(sample_train(step));
  }
  Random random(21);
  for (int round = 0; round < 12; ++round) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0)
      while (true) RunWriter::resume(path);
    std::this_thread::sleep_for(std::chrono::microseconds(random.between(0, 30'000)));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    check_rows(read_run(path), {.train = 40});
  }
}

TEST_CASE("readers beside a writer see only whole rows, and ever more of them") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "seed0.h5";
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) write_until_killed(path, false, 1, ends[1]);
  Reported reported;
  int64_t value = 0;
  for (int reading = 0; reading < 40; ++reading) {
    for (int64_t i = 0; i < 25; ++i) {  // the pipe's size keeps the writer from running far ahead
      REQUIRE(::read(ends[0], &value, sizeof value) == sizeof value);
      if (value > 0) reported.train = value;
      if (value < 0) reported.evaluation = -value;
    }
    check_rows(read_run(path), reported);
  }
  CHECK(reported.train > 500);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace attnlab
