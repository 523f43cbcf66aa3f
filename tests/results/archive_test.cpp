#include "results/archive.h"

#include <algorithm>

#include "catch.h"
#include "core/errors.h"
#include "core/files.h"
#include "results/evaluation_file.h"
#include "results/measurements.h"
#include "results/run_file.h"
#include "results/run_reader.h"
#include "sample_run.h"

namespace attnlab {
namespace {
namespace fs = std::filesystem;

void write_run(const fs::path& path, double loss) {
  RunWriter run =
      RunWriter::create(path, {.experiment = "e", .arm = path.parent_path().filename(), .variant = "gqa"});
  for (int64_t step = 1; step <= 100; ++step)
    run.put_train({.step = step, .loss = loss + static_cast<double>(step)});
  run.set_status(RunState::complete, 100);
}

// Two runs, the tasks of one, a measuring.
void fill(const fs::path& folder) {
  write_run(folder / "gqa" / "seed0.h5", 1);
  write_run(folder / "mla" / "seed0.h5", 2);
  write_evaluation(tasks_file(folder / "gqa" / "seed0.h5", 100), {.scores = {{"gsm8k", "", "accuracy", 0.5}}});
  Measurements measured;
  measured.fits.push_back({.seed = 3, .error = 0.25});
  write_measurements(folder / "x.measured.h5", measured);
}

TEST_CASE("results in an archive are read as if they were files") {
  const test::TemporaryFolder folder;
  fill(folder.path() / "in");
  const fs::path archive = folder.path() / "all.archive.h5";
  CHECK(write_archive(archive, folder.path() / "in") == 4);
  const auto runs = read_runs(archive);
  REQUIRE(runs.size() == 2);
  CHECK(runs[1].header.arm == "mla");
  CHECK(runs[1].path == archive / "mla/seed0.h5");
  REQUIRE(runs[1].train.size() == 100);
  CHECK(runs[1].train[99].loss == 102);
  CHECK(runs[1].state == RunState::complete);
  const auto tasks = tasks_file(runs[0].path, runs[0].last_step);
  REQUIRE(result_exists(tasks));
  CHECK_FALSE(result_exists(tasks_file(runs[1].path, 100)));
  CHECK(read_evaluation(tasks).scores.at(0).value == 0.5);
  const auto measured = find_measurements(archive);
  REQUIRE(measured.size() == 1);
  CHECK(measured[0].fits.at(0).error == 0.25);
  CHECK(read_run(archive / "gqa" / "seed0.h5").train.at(0).loss == 2);
}

TEST_CASE("an archive may keep the texts of an arm's first replies alone, and keeps all judgements") {
  const test::TemporaryFolder folder;
  for (const int64_t seed : {1, 10}) {
    TaskRecord task{.label = "gsm8k", .replies = {{0, 0, "a", "one"}, {1, 0, "b", "two"}}};
    task.judgements = {{"strict", {{0, 0, 1, "1", "right"}, {1, 0, 0, "2", "wrong"}}}};
    const fs::path run = folder.path() / "in" / "gqa" / ("seed" + std::to_string(seed) + ".h5");
    write_evaluation(tasks_file(run, 5), {.tasks = {task}});
  }
  const fs::path archive = folder.path() / "x.archive.h5";
  CHECK(write_archive(archive, folder.path() / "in", 1) == 2);
  const auto texts = [&](const char* name) {
    const TaskRecord task = read_evaluation(archive / "gqa" / name).tasks.at(0);
    CHECK(task.judgements.at(0).second.at(1).extracted == "2");
    return task.replies.at(0).text + "," + task.replies.at(1).text;
  };
  CHECK(texts("tasks.seed1.step5.h5") == "one,");
  CHECK(texts("tasks.seed10.step5.h5") == ",");
}

TEST_CASE("archives inside a folder are looked into, and hold the bytes of their files") {
  const test::TemporaryFolder folder;
  fill(folder.path() / "in");
  write_archive(folder.path() / "out" / "a.archive.h5", folder.path() / "in");
  write_archive(folder.path() / "out" / "b.archive.h5", folder.path() / "in");
  CHECK(read_runs(folder.path() / "out").size() == 4);
  CHECK(find_measurements(folder.path() / "out").size() == 2);
  CHECK(read_member({folder.path() / "out" / "a.archive.h5", "gqa/seed0.h5"}) ==
        read_file(folder.path() / "in" / "gqa" / "seed0.h5"));
  fs::create_directories(folder.path() / "both");
  fs::copy(folder.path() / "out" / "a.archive.h5", folder.path() / "both" / "a.archive.h5");
  fs::copy(folder.path() / "in" / "gqa" / "seed0.h5", folder.path() / "both" / "seed0.h5");
  CHECK(write_archive(folder.path() / "c.archive.h5", folder.path() / "both") == 1);
}

TEST_CASE("what is no archive, and what is in none, is refused") {
  const test::TemporaryFolder folder;
  CHECK_THROWS_WITH(write_archive(folder.path() / "x.h5", folder.path()),
                    ContainsSubstring("ends in .archive.h5"));
  CHECK_THROWS_WITH(write_archive(folder.path() / "x.archive.h5", folder.path()),
                    ContainsSubstring("no results"));
  CHECK_FALSE(fs::exists(folder.path() / "x.archive.h5"));
  fill(folder.path() / "in");
  write_archive(folder.path() / "x.archive.h5", folder.path() / "in");
  CHECK_THROWS_AS(read_run(folder.path() / "x.archive.h5" / "nothing.h5"), InputError);
  fs::copy(folder.path() / "in" / "gqa" / "seed0.h5", folder.path() / "run.archive.h5");
  CHECK_THROWS_WITH(read_runs(folder.path() / "run.archive.h5"),
                    ContainsSubstring("expected 'attnlab archive 1'"));
}

}  // namespace
}  // namespace attnlab
