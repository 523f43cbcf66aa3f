#include "tasks/prompts.h"

#include <algorithm>

#include "support.h"
#include "tasks/python_random.h"

namespace attnlab {
namespace {

using Indices = std::vector<int64_t>;

std::vector<Problem> small_pool() {
  return {{.question = "one?", .answer = "1\n#### 1"}, {.question = "two?", .answer = "2\n#### 2"}};
}

TEST_CASE("worked examples stand before the problem, joined by blank lines") {
  const Preset& preset = preset_of(Task::gsm8k, Protocol::lm_eval_strict);
  const std::vector<Problem> problems{{.question = "three?"}};
  const ShotOptions first{.count = 2, .sampling = ShotSampling::first};
  CHECK(make_prompts(preset, problems, small_pool(), first)[0] ==
        "Question: one?\nAnswer: 1\n#### 1\n\nQuestion: two?\nAnswer: 2\n#### 2\n\nQuestion: three?\nAnswer:");
  CHECK(make_prompts(preset, problems, {}, {.count = 0})[0] == "Question: three?\nAnswer:");
}

TEST_CASE("examples that are not there are refused") {
  const std::vector<Problem> problems{{.question = "three?"}};
  const auto refused = [&](Protocol protocol, Task task, const ShotOptions& options) {
    return test::refusal([&] { make_prompts(preset_of(task, protocol), problems, small_pool(), options); });
  };
  CHECK_THAT(refused(Protocol::lm_eval_strict, Task::gsm8k, {}), ContainsSubstring("found 5, expected 0 to 2"));
  CHECK_THAT(refused(Protocol::lm_eval_strict, Task::gsm8k, {.count = -1}), ContainsSubstring("found -1"));
  CHECK_THAT(refused(Protocol::lm_eval_cot, Task::gsm8k, {.count = 9}), ContainsSubstring("expected 0 to 8"));
  CHECK_THAT(refused(Protocol::transmla_v1, Task::gsm8k, {.count = 1}), ContainsSubstring("shows none"));
  CHECK_THAT(refused(Protocol::lm_eval, Task::mbpp, {}), ContainsSubstring("no task 2"));
}

TEST_CASE("the sampler is Python's") {
  // random.Random(1234).sample(range(7473), 5), twice; then a small population, where it draws from a pool.
  PythonRandom random(1234);
  CHECK(random.sample(7473, 5) == Indices{6374, 3610, 957, 61, 742});
  CHECK(random.sample(7473, 5) == Indices{7462, 6610, 4769, 286, 5501});
  CHECK(PythonRandom(1).sample(10, 10) == Indices{2, 1, 4, 0, 3, 5, 7, 9, 8, 6});
  CHECK(PythonRandom(7).sample(100, 6) == Indices{41, 19, 50, 83, 6, 9});
  CHECK(PythonRandom(7).sample(5, 0).empty());
}

TEST_CASE("the first examples are the same for all problems, sampled ones are not") {
  CHECK(shot_indices(2, 100, 2, {.sampling = ShotSampling::first}) == std::vector<Indices>{{0, 1}, {0, 1}});
  const auto sampled = shot_indices(2, 100, 2, {});
  CHECK(sampled[0] != sampled[1]);
}

TEST_CASE("the sanitised problems show their first three tests only") {
  const Problem problem{.question = "q", .assertions = {"a", "b", "c", "d"}};
  CHECK_THAT(preset_of(Task::mbpp, Protocol::lm_eval).question(problem),
             ContainsSubstring("\na\nb\nc\n[BEGIN]"));
}

TEST_CASE("lm_eval's default examples for all of GSM8K") {
  if (!test::all_there({test::fixture("gsm8k_default_fewshot.json")}))
    SKIP_TEST("no gsm8k_default_fewshot.json");
  const auto expected = test::read_json(test::fixture("gsm8k_default_fewshot.json"));
  const auto indices = expected["train_indices_by_test_index"].get<std::vector<Indices>>();
  REQUIRE(indices.size() == 1319);
  CHECK(shot_indices(1319, 7473, 5, {.seed = expected["seed"].get<uint32_t>()}) == indices);
}

TEST_CASE("GSM8K prompts are those of lm_eval") {
  if (!test::all_there({test::fixture("gsm8k_prompts.jsonl"), test::data_set("gsm8k/train.jsonl")}))
    SKIP_TEST("no gsm8k_prompts.jsonl");
  const auto train = read_problems(Task::gsm8k, test::data_set("gsm8k/train.jsonl"));
  const auto problems = read_problems(Task::gsm8k, test::data_set("gsm8k/test.jsonl"));
  REQUIRE(train.size() == 7473);
  for (const auto& row : test::read_jsonl(test::fixture("gsm8k_prompts.jsonl"))) {
    CAPTURE(row["id"]);
    const Task task = *from_name<Task>(row["task"].get<std::string>());
    const Preset& preset = preset_of(task, Protocol::lm_eval_strict);
    const bool first = row["fewshot"] == "first_n";
    CHECK(preset.shots == row["num_fewshot"]);
    CHECK(preset.max_new_tokens == row["max_gen_toks"]);
    const auto prompts = make_prompts(preset, problems, train,
                                      {.sampling = first ? ShotSampling::first : ShotSampling::lm_eval});
    CHECK(prompts.at(row["doc_index"].get<size_t>()) == row["prompt"].get<std::string>());
  }
}

TEST_CASE("MBPP prompts are those of lm_eval") {
  if (!test::all_there({test::fixture("mbpp_prompts.jsonl"), test::data_set("mbpp/mbpp.jsonl")}))
    SKIP_TEST("no mbpp_prompts.jsonl");
  const auto all = read_problems(Task::mbpp, test::data_set("mbpp/mbpp.jsonl"));
  const auto rows = test::read_jsonl(test::fixture("mbpp_prompts.jsonl"));
  REQUIRE(rows.size() == 10);
  for (const auto& row : rows) {
    CAPTURE(row["id"]);
    const Protocol protocol = row["task"] == "mbpp" ? Protocol::lm_eval : Protocol::lm_eval_instruct;
    const std::string id = row["task_id"].dump();
    const auto problem = std::find_if(all.begin(), all.end(), [&](const Problem& p) { return p.id == id; });
    const Preset& preset = preset_of(Task::mbpp, protocol);
    CHECK(make_prompts(preset, {*problem}, all)[0] == row["prompt"].get<std::string>());
    CHECK(problem->tests == row["reference"].get<std::string>());
    CHECK(preset.max_new_tokens == row["max_gen_toks"]);
  }
}

}  // namespace
}  // namespace attnlab
