// GSM8K replies against the answers of lm-evaluation-harness 0.4.13.
#include "support.h"
#include "tasks/score.h"
#include "tasks/stops.h"

namespace attnlab {
namespace {

void check_file(const std::string& name, size_t rows_expected, Task task) {
  const auto rows = test::read_jsonl(test::fixture(name));
  const auto problems = read_problems(task, test::data_set("gsm8k/test.jsonl"));
  REQUIRE(rows.size() == rows_expected);
  REQUIRE(problems.size() == 1319);
  std::vector<Reply> replies;
  for (const auto& row : rows) {
    replies.push_back({row["doc_index"].get<size_t>(), row["response"]});
    REQUIRE(problems[replies.back().problem].answer == row["gold_answer"].get<std::string>());
  }
  const Preset& strict = preset_of(task, Protocol::lm_eval_strict);
  const Preset& flexible = preset_of(task, Protocol::lm_eval_flexible);
  const auto by_strict = score(strict, problems, replies, nullptr);
  const auto by_flexible = score(flexible, problems, replies, nullptr);
  for (size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(rows[i]["id"], rows[i]["response"]);
    CHECK(until_stop(replies[i].text, strict.stops) == rows[i]["truncated"].get<std::string>());
    CHECK(by_strict[i].extracted == rows[i]["strict_extract"].get<std::string>());
    CHECK(by_strict[i].correct == (rows[i]["strict_match"] == 1));
    CHECK(by_flexible[i].extracted == rows[i]["flexible_extract"].get<std::string>());
    CHECK(by_flexible[i].correct == (rows[i]["flexible_match"] == 1));
  }
}

TEST_CASE("gsm8k is scored as lm_eval scores it") {
  if (!test::all_there({test::fixture("gsm8k_scoring.jsonl"), test::data_set("gsm8k/test.jsonl")}))
    SKIP_TEST("no gsm8k_scoring.jsonl");
  check_file("gsm8k_scoring.jsonl", 635, Task::gsm8k);
}

TEST_CASE("gsm8k_cot is scored as lm_eval scores it") {
  if (!test::all_there({test::fixture("gsm8k_cot_scoring.jsonl"), test::data_set("gsm8k/test.jsonl")}))
    SKIP_TEST("no gsm8k_cot_scoring.jsonl");
  check_file("gsm8k_cot_scoring.jsonl", 634, Task::gsm8k_cot);
}

TEST_CASE("gold answers are read as each task reads them") {
  const std::vector<Problem> problems{{.id = "0", .answer = "so\n####72", .gold = "72"}};
  const auto right = [&](Task task, const char* reply) {
    return score(preset_of(task, Protocol::lm_eval_flexible), problems, {{0, reply}}, nullptr)[0].correct;
  };
  CHECK_FALSE(right(Task::gsm8k, "72"));  // the whole answer, which has no "#### " to cut at
  CHECK(right(Task::gsm8k_cot, "72"));
}

TEST_CASE("a reply has a result in words, and protocols disagree on it") {
  const std::vector<Problem> problems{{.id = "0", .answer = "so\n#### 72", .gold = "72"}};
  const std::vector<Reply> replies{{0, " 70 + 2 = 72"}, {0, "\n#### 72 of 80"}, {0, "#### 71"}};
  const auto words = [&](Protocol protocol) {
    std::vector<std::string> results;
    for (const auto& scored : score(preset_of(Task::gsm8k, protocol), problems, replies, nullptr))
      results.push_back(scored.result);
    return results;
  };
  using Words = std::vector<std::string>;
  CHECK(words(Protocol::lm_eval_strict) == Words{"no answer", "match", "no match"});
  CHECK(words(Protocol::lm_eval_flexible) == Words{"match", "no match", "no match"});
  CHECK(words(Protocol::lm_eval_cot) == Words{"no answer", "no answer", "no answer"});
  std::vector<std::vector<Score>> scores;
  for (const Protocol protocol : {Protocol::lm_eval_strict, Protocol::lm_eval_flexible})
    scores.push_back(score(preset_of(Task::gsm8k, protocol), problems, replies, nullptr));
  CHECK(disagreements(scores) == std::vector<size_t>{0, 1});
  CHECK(disagreements({scores[0], scores[0]}).empty());
  CHECK(disagreements({}).empty());
}

}  // namespace
}  // namespace attnlab
