// What of a teacher's replies becomes a training set.
#include "eval/kept_replies.h"

#include <nlohmann/json.hpp>
#include <set>

#include "catch.h"
#include "core/files.h"

namespace attnlab {
namespace {

using nlohmann::json;

TaskData two_problems() {
  TaskData data{.config = {.task = Task::gsm8k}, .protocols = {Protocol::lm_eval_strict}};
  data.problems = {{.id = "0", .question = "1 + 1?", .gold = "2"},
                   {.id = "1", .question = "2 + 2?", .gold = "4"}};
  return data;
}

// Replies to problem 0, which are right where `right` says so.
struct Sampled {
  std::vector<Reply> replies;
  std::vector<Score> scores;
  void add(size_t problem, const std::string& text, bool right) {
    replies.push_back({problem, text});
    scores.push_back({.correct = right});
  }
};

TEST_CASE("right replies are kept once, cut at the stop, up to the cap of their problem") {
  Sampled sampled;
  sampled.add(1, " four #### 4\n", true);
  sampled.add(0, "two #### 2", true);
  sampled.add(0, "three #### 3", false);
  sampled.add(0, " two\n#### 2\n\nQuestion: more", true);  // the same words
  sampled.add(0, "one and one: #### 2", true);
  sampled.add(0, "it is #### 2", true);
  sampled.add(0, "Question:", true);  // nothing is left
  const auto kept = keep_replies(two_problems(), sampled.replies, sampled.scores, KeepReplies::correct, 2);
  REQUIRE(kept.replies.size() == 3);
  CHECK(kept.replies[0].question == "1 + 1?");
  CHECK(kept.replies[0].answer == "two #### 2");
  CHECK(kept.replies[1].answer == "one and one: #### 2");
  CHECK(kept.replies[2].answer == "four #### 4");
  CHECK(kept.asked == 7);
  CHECK(kept.right == 6);
  CHECK(kept.doubles == 1);
  CHECK(kept.over_cap == 1);
  CHECK(kept.empty == 1);
  CHECK(kept.problems == 2);
  const auto all = keep_replies(two_problems(), sampled.replies, sampled.scores, KeepReplies::all, 0);
  CHECK(all.replies.size() == 5);
  CHECK(all.right == 6);
}

TEST_CASE("a program that continues its prompt is kept with it, a whole one alone") {
  TaskData data{.config = {.task = Task::humaneval}, .protocols = {Protocol::human_eval}};
  data.problems = {{.id = "0", .prompt = "def f(x):\n", .entry_point = "f"}};
  const std::vector<Reply> replies{{0, "    return x\n"}, {0, "def f(x):\n    return 2\n"}};
  const std::vector<Score> scores{{.extracted = "    return x\n", .correct = true},
                                  {.extracted = "def f(x):\n    return 2\n", .correct = true}};
  const auto kept = keep_replies(data, replies, scores, KeepReplies::correct, 4);
  REQUIRE(kept.replies.size() == 2);
  CHECK(kept.replies[0].question == "def f(x):\n");
  CHECK(kept.replies[0].answer == "def f(x):\n    return x");
  CHECK(kept.replies[1].answer == "def f(x):\n    return 2");
}

TEST_CASE("both forms are what data kinds read") {
  KeptReplies kept;
  kept.replies = {{0, "1 + 1?", "\"two\""}};
  CHECK(json::parse(sft_lines(kept, SftForm::chat)) ==
        json({{"messages",
               {{{"role", "user"}, {"content", "1 + 1?"}}, {{"role", "assistant"}, {"content", "\"two\""}}}}}));
  CHECK(json::parse(sft_lines(kept, SftForm::instruction)) ==
        json({{"instruction", "1 + 1?"}, {"output", "\"two\""}}));
}

TEST_CASE("training problems are another split than those of evaluations, and worked examples are not asked") {
  const TaskConfig config{.task = Task::word_problems, .size = 40};
  const auto test = load_task(config, "t"), train = load_task(config, "t", Split::train);
  std::set<std::string> asked;
  for (const auto& problem : test.problems) asked.insert(problem.question);
  for (const auto& problem : train.problems) CHECK(asked.count(problem.question) == 0);
  const test::TemporaryFolder folder;
  std::string lines;
  for (int i = 0; i < 8; ++i)
    lines +=
        json({{"question", "q" + std::to_string(i)}, {"answer", "a #### " + std::to_string(i)}}).dump() + "\n";
  write_file_atomic(folder.path() / "train.jsonl", lines);
  TaskConfig file{.task = Task::gsm8k, .path = (folder.path() / "train.jsonl").string(), .shots = 3};
  const auto shown = load_task(file, "t", Split::train);
  REQUIRE(shown.problems.size() == 5);
  CHECK(shown.problems[0].question == "q3");
  for (const auto& prompt : shown.prompts)
    for (const char* example : {"q0", "q1", "q2"}) CHECK_THAT(prompt, ContainsSubstring(example));
  file.shots = 0;
  CHECK(load_task(file, "t", Split::train).problems.size() == 8);
}

}  // namespace
}  // namespace attnlab
