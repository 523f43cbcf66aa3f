#include "results/evaluation_file.h"

#include <cmath>
#include <limits>

#include "catch.h"
#include "core/errors.h"
#include "core/files.h"

namespace attnlab {
namespace {

EvaluationRecord task_evaluation() {
  TaskRecord code{.label = "humaneval", .config = {{"samples", int64_t{2}}, {"path", std::string("h.jsonl")}}};
  code.replies = {{0, 0, "HumanEval/0", "  return 1\n"}, {0, 1, "HumanEval/0", "\xE2\x82\xAC"}, {1, 0, "", ""}};
  code.judgements = {{"lm_eval", {{0, 0, 1, "  return 1", "passed"}, {0, 1, 0, "", "failed: NameError"}}},
                     {"bigcode", {}}};
  TaskRecord choice{.label = "piqa"};
  choice.choices = {{0, 0, -1.5, 0, 1}, {0, 1, -2.25, 1, 0}};
  const double nan = std::numeric_limits<double>::quiet_NaN();
  return {
      .provenance = {{"model", std::string("data/base_small")}, {"parameters", int64_t{12}}},
      .tasks = {code, choice},
      .scores = {{"humaneval", "lm_eval", "pass@1", 0.5, 0.1, 0.9, 2}, {"piqa", "", "acc", 1, nan, nan, 1}}};
}

TEST_CASE("an evaluation reads back as it was written") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "deep" / "e.h5";
  const EvaluationRecord written = task_evaluation();
  write_evaluation(path, written);
  CHECK_FALSE(std::filesystem::exists(path.string() + ".tmp"));
  const EvaluationRecord read = read_evaluation(path);
  CHECK(read.provenance == written.provenance);
  REQUIRE(read.tasks.size() == 2);
  CHECK(read.tasks[0].label == "humaneval");
  CHECK(read.tasks[0].config == written.tasks[0].config);
  REQUIRE(read.tasks[0].replies.size() == 3);
  CHECK(read.tasks[0].replies[1].text == "\xE2\x82\xAC");
  CHECK(read.tasks[0].replies[1].sample == 1);
  REQUIRE(read.tasks[0].judgements.size() == 2);
  CHECK(read.tasks[0].judgements[0].first == "lm_eval");
  CHECK(read.tasks[0].judgements[0].second[1].result == "failed: NameError");
  CHECK(read.tasks[0].judgements[1].second.empty());
  REQUIRE(read.tasks[1].choices.size() == 2);
  CHECK(read.tasks[1].choices[1].log_likelihood == -2.25);
  REQUIRE(read.scores.size() == 2);
  CHECK(read.scores[0].metric == "pass@1");
  CHECK(read.scores[0].high == 0.9);
  CHECK(std::isnan(read.scores[1].low));
}

TEST_CASE("an evaluation replaces the one before, and a folder that is none is an error") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "e.h5";
  write_evaluation(path, task_evaluation());
  EvaluationRecord other = task_evaluation();
  other.tasks.pop_back();
  write_evaluation(path, other);
  CHECK(read_evaluation(path).tasks.size() == 1);
  write_file_atomic(folder.path() / "file", "x");
  CHECK_THROWS_AS(write_evaluation(folder.path() / "file" / "e.h5", task_evaluation()), RunError);
}

TEST_CASE("what is no evaluation is refused") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "e.h5";
  CHECK_THROWS_WITH(read_evaluation(path), ContainsSubstring("expected the HDF5 file of an evaluation"));
  write_file_atomic(path, "no HDF5");
  CHECK_THROWS_AS(read_evaluation(path), InputError);
}

}  // namespace
}  // namespace attnlab
