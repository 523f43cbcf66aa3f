// What a reader and a resumed run find after a disk has filled up at any byte.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <optional>

#include "catch.h"
#include "core/errors.h"
#include "results/run_reader.h"
#include "sample_run.h"

namespace attnlab {
namespace {
using namespace test;
namespace fs = std::filesystem;

constexpr int64_t last_step = 200;  // four chunks of train rows
constexpr int64_t evaluation_steps = 4;
constexpr int did_not_open = 255, failed_status = 254;

// What a run puts, in order: every train row, and an evaluation after each fourth.
std::vector<int64_t> puts() {
  std::vector<int64_t> steps;
  for (int64_t step = 1; step <= last_step; ++step) {
    steps.push_back(step);
    if (step % evaluation_steps == 0) steps.push_back(-step);
  }
  return steps;
}

void put(RunWriter& writer, int64_t step) {
  if (step > 0) {
    writer.put_train(sample_train(step));
  } else {
    writer.put_evaluation(sample_evaluation(-step), sample_problems(-step));
  }
}

enum class Ending { status, destructor };

// Runs in a child. Returns how many puts returned before a write failed; all of them if none did.
int run_until_full(const fs::path& path, rlim_t bytes, Ending ending) {
  ::signal(SIGXFSZ,
           SIG_IGN);  // a write past the limit then fails with EFBIG, the last one before it is partial
  const rlimit limit{.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
  if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return did_not_open;
  std::optional<RunWriter> writer;
  int done = 0;
  try {
    writer.emplace(RunWriter::create(path, sample_header()));
    for (const int64_t step : puts()) {
      put(*writer, step);
      ++done;
    }
    if (ending == Ending::status) writer->set_status(RunState::complete, last_step);
  } catch (const RunError& error) {
    if (!writer) return did_not_open;
    try {
      if (ending == Ending::status) writer->set_status(RunState::failed, done, error.what());
    } catch (const RunError&) {
      return failed_status;
    }
  }
  return done;
}

int run_in_child(const fs::path& path, rlim_t bytes, Ending ending) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(run_until_full(path, bytes, ending));
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

std::string bytes_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The record holds the first `done` puts or one more, the one that failed, and nothing else.
void check_holds(const RunRecord& record, size_t done) {
  size_t train = 0, evaluations = 0;
  const std::vector<int64_t> steps = puts();
  for (size_t i = 0; i < done; ++i) ++(steps[i] > 0 ? train : evaluations);
  const size_t found = record.train.size() + record.evaluations.size();
  CHECK(record.train.size() >= train);
  CHECK(record.evaluations.size() >= evaluations);
  CHECK(found <= done + 1);
  CHECK(record.problems.size() == record.evaluations.size() * 3);
  bool good = record.problems.size() == record.evaluations.size() * 3;
  for (size_t i = 0; i < record.train.size(); ++i)
    good &= same_row(record.train[i], sample_train(static_cast<int64_t>(i) + 1));
  for (size_t i = 0; good && i < record.evaluations.size(); ++i) {
    const int64_t step = static_cast<int64_t>(i + 1) * evaluation_steps;
    good &= same_row(record.evaluations[i], sample_evaluation(step));
    for (size_t j = 0; j < 3; ++j) good &= same_row(record.problems[i * 3 + j], sample_problems(step)[j]);
  }
  CHECK(good);
}

// With room again: puts all that is missing and ends the run.
void finish(const fs::path& path) {
  RunWriter writer = RunWriter::resume(path);
  const auto train = static_cast<int64_t>(writer.train().size());
  const auto evaluated = static_cast<int64_t>(writer.evaluations().size()) * evaluation_steps;
  for (const int64_t step : puts())
    if (step > train || -step > evaluated) put(writer, step);
  writer.set_status(RunState::complete, last_step);
}

// Fills the disk at every multiple of 512 bytes from the size of an empty run file to that of the whole one.
void sweep(Ending ending) {
  const TemporaryFolder folder;
  const fs::path empty = folder.path() / "seed1.h5", path = folder.path() / "seed0.h5";
  RunWriter::create(empty, sample_header());
  const auto all = static_cast<int>(puts().size());
  int failures = 0;
  bool full = true;
  for (rlim_t bytes = fs::file_size(empty); full; bytes += 512) {
    REQUIRE(bytes < 4'000'000);
    INFO("the disk was full at byte " << bytes);
    const int done = run_in_child(path, bytes, ending);
    REQUIRE(done <= all);
    const std::string before = bytes_of(path);
    const RunRecord record = read_run(path);
    check_holds(record, static_cast<size_t>(done));
    full = done < all || (ending == Ending::status && record.state != RunState::complete);
    failures += full;
    if (full && ending == Ending::status) {
      CHECK(record.state == RunState::failed);
      CHECK_THAT(record.message, ContainsSubstring("seed0.h5: ") && ContainsSubstring("File too large"));
    }
    CHECK(bytes_of(path) == before);
    finish(path);
    const RunRecord whole = read_run(path);
    CHECK(whole.state == RunState::complete);
    CHECK(whole.message.empty());
    CHECK(whole.train.size() + whole.evaluations.size() == static_cast<size_t>(all));
    check_holds(whole, static_cast<size_t>(all));
  }
  CHECK(failures > 50);
}

TEST_CASE("a disk that is full at any byte costs no row that was put, and the run goes on") {
  sweep(Ending::status);
}

TEST_CASE("so it is if the program can no longer say that the run failed") { sweep(Ending::destructor); }

}  // namespace
}  // namespace attnlab
