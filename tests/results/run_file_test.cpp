#include "results/run_file.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>

#include "catch.h"
#include "results/run_reader.h"
#include "results/table.h"
#include "sample_run.h"

namespace attnlab {
namespace {
using namespace test;
using std::string;

void check_same_header(const RunHeader& a, const RunHeader& b) {
  CHECK(flatten(a) == flatten(b));
  CHECK(a.config == b.config);
  CHECK(a.provenance == b.provenance);
  CHECK(a.conversion == b.conversion);
  CHECK(a.resolved_yaml == b.resolved_yaml);
}

TEST_CASE("a finished run reads back as it was written") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "deep" / "er" / "seed7.h5";
  RunWriter writer = RunWriter::create(path, sample_header());
  std::vector<TrainRow> train;
  for (int64_t step = 1; step <= 150; ++step) train.push_back(sample_train(step));
  train[3].loss = std::numeric_limits<double>::quiet_NaN();
  train[4].gradient_norm = std::numeric_limits<double>::infinity();
  for (const auto& row : train) writer.put_train(row);
  std::vector<ProblemRow> problems;
  for (const int64_t step : {0, 50, 100}) {
    writer.put_evaluation(sample_evaluation(step), sample_problems(step));
    for (const auto& row : sample_problems(step)) problems.push_back(row);
  }
  CHECK(same_rows(writer.train(), train));
  writer.set_status(RunState::complete, 150, "");
  const RunRecord record = read_run(path);
  check_same_header(record.header, sample_header());
  CHECK(same_rows(record.train, train));
  CHECK(same_rows(record.evaluations, {sample_evaluation(0), sample_evaluation(50), sample_evaluation(100)}));
  CHECK(same_rows(record.problems, problems));
  CHECK(record.state == RunState::complete);
  CHECK(record.last_step == 150);
  CHECK(record.path == path);
  CHECK(read_run(path, false).problems.empty());
  CHECK(read_state(path) == RunState::complete);
  CHECK_FALSE(std::filesystem::exists(path.string() + ".tmp"));
}

TEST_CASE("likelihoods are kept where the config asks for them, and by a run that goes on") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "seed0.h5";
  RunHeader header = sample_header();
  header.config.emplace_back("eval.likelihoods", true);
  const std::vector<LikelihoodRow> rows{{.step = 0, .reference = -12.5, .own = std::nan(""), .references = 4},
                                        {.step = 5, .reference = -9, .own = -2, .references = 4, .owns = 3}};
  {
    RunWriter writer = RunWriter::create(path, header);
    writer.put_likelihoods(rows[0]);
  }
  RunWriter writer = RunWriter::resume(path);
  writer.put_likelihoods(rows[1]);
  writer.set_status(RunState::complete, 5, "");
  CHECK(same_rows(read_run(path).likelihoods, rows));
  { const RunWriter other = RunWriter::create(folder.path() / "seed1.h5", sample_header()); }
  CHECK(read_run(folder.path() / "seed1.h5").likelihoods.empty());
}

TEST_CASE("a run without rows reads back") {
  const TemporaryFolder folder;
  { const RunWriter writer = RunWriter::create(folder.path() / "seed0.h5", {}); }
  const RunRecord record = read_run(folder.path() / "seed0.h5");
  check_same_header(record.header, {});
  CHECK(record.train.empty());
  CHECK(record.evaluations.empty());
  CHECK(record.problems.empty());
  CHECK(record.state == RunState::running);
}

TEST_CASE("a long resolved config is kept whole") {
  const TemporaryFolder folder;
  RunHeader header = sample_header();
  for (const size_t size : {60'000, 65'536, 1'000'000}) {
    header.resolved_yaml = string(size, 'x');
    { const RunWriter writer = RunWriter::create(folder.path() / "seed0.h5", header); }
    check_same_header(read_run(folder.path() / "seed0.h5").header, header);
  }
}

TEST_CASE("a row of the same step replaces the one before") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "seed0.h5";
  RunWriter writer = RunWriter::create(path, sample_header());
  for (const int64_t step : {10, 20, 30}) {
    writer.put_train(sample_train(step));
    writer.put_evaluation(sample_evaluation(step), sample_problems(step));
  }
  TrainRow train = sample_train(20);
  train.loss = 42;
  writer.put_train(train);
  EvaluationRow evaluation = sample_evaluation(20);
  evaluation.accuracy = 1;
  auto problems = sample_problems(20);
  problems[1].output = "other";
  writer.put_evaluation(evaluation, problems);
  const RunRecord record = read_run(path);  // while the writer lives
  CHECK(same_rows(record.train, {sample_train(10), train, sample_train(30)}));
  CHECK(same_rows(record.evaluations, {sample_evaluation(10), evaluation, sample_evaluation(30)}));
  REQUIRE(record.problems.size() == 9);
  CHECK(same_row(record.problems[4], problems[1]));
  CHECK(same_row(record.problems[6], sample_problems(30)[0]));
}

TEST_CASE("steps that were not finite are kept by themselves, each once, also through a resume") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "seed0.h5";
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  {
    RunWriter writer = RunWriter::create(path, sample_header());
    writer.put_nonfinite({.step = 7, .loss = nan, .gradient_norm = 1});
    writer.put_nonfinite({.step = 9, .loss = 2, .gradient_norm = inf});
    writer.put_nonfinite({.step = 7, .loss = inf, .gradient_norm = 3});
  }
  CHECK(same_rows(read_run(path).nonfinite, {{7, inf, 3}, {9, 2, inf}}));
  RunWriter writer = RunWriter::resume(path);
  writer.put_nonfinite({.step = 9, .loss = 4, .gradient_norm = inf});
  writer.put_nonfinite({.step = 8, .loss = 5, .gradient_norm = nan});  // of a replay that went another way
  CHECK(same_rows(read_run(path).nonfinite, {{7, inf, 3}, {8, 5, nan}, {9, 4, inf}}));
  writer.set_status(RunState::complete, 10);
  CHECK(read_run(path).nonfinite.size() == 3);
}

TEST_CASE("a file from before there was a table of such steps reads and goes on") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "seed0.h5";
  {
    RunWriter writer = RunWriter::create(path, sample_header());
    writer.put_train(sample_train(1));
    writer.set_status(RunState::failed, 1, "old");
  }
  {
    hdf5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose, "cannot open");
    REQUIRE(H5Ldelete(file, "nonfinite", H5P_DEFAULT) >= 0);
  }
  CHECK(read_run(path).nonfinite.empty());
  CHECK(read_run(path).train.size() == 1);
  RunWriter writer = RunWriter::resume(path);
  writer.put_nonfinite({.step = 2, .loss = 1, .gradient_norm = 1});
  CHECK(read_run(path).nonfinite.size() == 1);
}

TEST_CASE("status is set in place and tells why a run failed") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "seed0.h5";
  RunWriter writer = RunWriter::create(path, sample_header());
  writer.put_train(sample_train(5));
  writer.set_status(RunState::running, 5);
  CHECK(read_run(path).last_step == 5);
  const string message = string(510, 'a') + "é!";  // é would end at byte 512, ! at 513
  writer.set_status(RunState::failed, 6, message);
  const RunRecord record = read_run(path);
  CHECK(record.state == RunState::failed);
  CHECK(record.last_step == 6);
  CHECK(record.message == message.substr(0, 512));
  CHECK(same_rows(record.train, {sample_train(5)}));

  RunWriter again = RunWriter::resume(path);
  CHECK(read_state(path) == RunState::running);
  again.put_train(sample_train(6));
  again.set_status(RunState::complete, 6);
  CHECK(same_rows(read_run(path).train, {sample_train(5), sample_train(6)}));
  CHECK(read_run(path).message.empty());
}

TEST_CASE("a writer can be moved") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "seed0.h5";
  RunWriter first = RunWriter::create(path, sample_header());
  RunWriter second = std::move(first);
  second.put_train(sample_train(1));
  second = RunWriter::resume(path);
  second.put_train(sample_train(2));
  CHECK(second.path() == path);
  CHECK(read_run(path).train.size() == 2);
}

TEST_CASE("text is cut at a UTF-8 character") {
  CHECK(cut_utf8("abc", 3) == "abc");
  CHECK(cut_utf8("abcd", 3) == "abc");
  CHECK(cut_utf8("aé", 2) == "a");   // é: 2 bytes
  CHECK(cut_utf8("a€x", 3) == "a");  // €: 3 bytes
  CHECK(cut_utf8("a€x", 4) == "a€");
  CHECK(cut_utf8("😀", 3).empty());                             // 4 bytes
  CHECK(cut_utf8("\x80\x80\x80\x80\x80\x80", 5).size() == 2);  // no UTF-8: at most three bytes go
  const TemporaryFolder folder;
  const auto path = folder.path() / "seed0.h5";
  RunHeader header = sample_header();
  header.prompt_bytes = 4;
  header.output_bytes = 1'000'000;  // clipped to what HDF5 holds
  RunWriter writer = RunWriter::create(path, header);
  ProblemRow problem{.step = 1, .prompt = "aaa€", .gold = "éééééé", .output = string(20'000, 'o')};
  problem.extracted = string(63, 'e') + "é";
  writer.put_evaluation(sample_evaluation(1), {problem});
  const ProblemRow read = read_run(path).problems.at(0);
  CHECK(read.prompt == "aaa");
  CHECK(read.gold == "éééé");
  CHECK(read.output == string(14'000, 'o'));
  CHECK(read.extracted == string(63, 'e'));
}

TEST_CASE("runs of a folder are found in order of their paths") {
  const TemporaryFolder folder;
  RunHeader header = sample_header();
  for (const char* name : {"b/seed1.h5", "a/lr=1/seed2.h5", "b/seed0.h5", "b/other.h5"}) {
    header.arm = name;
    RunWriter::create(folder.path() / name, header);
  }
  std::ofstream(folder.path() / "seed9.h5.tmp") << "half";
  std::vector<string> arms;
  for (const auto& record : read_runs(folder.path())) arms.push_back(record.header.arm);
  CHECK(arms == std::vector<string>{"a/lr=1/seed2.h5", "b/seed0.h5", "b/seed1.h5"});
  CHECK(read_runs(folder.path() / "b" / "seed1.h5").size() == 1);
}

}  // namespace
}  // namespace attnlab
