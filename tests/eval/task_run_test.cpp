// Tasks from a model to scores: what is asked, what is kept, what a second call goes on from.
#include "eval/task_run.h"

#include "../ranks/with_ranks.h"
#include "attention/mla_orthogonal.h"
#include "catch.h"
#include "core/errors.h"
#include "core/files.h"
#include "data/retrieval.h"
#include "eval/told_findings.h"
#include "support.h"

namespace attnlab {
namespace {

struct Asked {
  std::shared_ptr<Decoder> decoder;
  std::shared_ptr<const Tokenizer> tokenizer = test::byte_tokenizer();

  Asked() {
    auto config = test::byte_config();
    config.max_positions = 600;
    decoder = test::make_decoder(config, test::lively_weights(config), MlaOrthogonal::Config{});
  }
  TaskModel model(int64_t rows = 4) const {
    return {.decoder = *decoder,
            .tokenizer = *tokenizer,
            .prefix_id = test::eos_id,
            .eos_id = test::eos_id,
            .batch_rows = rows};
  }
};

TaskConfig problems(int64_t size = 7) {
  return {.task = Task::word_problems,
          .protocols = {"lm_eval_strict", "lm_eval_flexible"},
          .shots = 0,
          .max_new_tokens = 12,
          .size = size};
}

std::string error_of(const TaskConfig& config) {
  try {
    load_task(config, "eval.tasks.2");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST_CASE("generated tasks are the same each time, and those of the test split") {
  const TaskData data = load_task(problems(), "t");
  REQUIRE(data.size() == 7);
  CHECK(data.prompts == load_task(problems(), "t").prompts);
  CHECK(data.sha256 == load_task(problems(), "t").sha256);
  CHECK(data.prompts[0] == "Question: " + data.problems[0].question + "\nAnswer:");
  TaskConfig fewer = problems();
  fewer.limit = 3;
  CHECK(load_task(fewer, "t").prompts == std::vector(data.prompts.begin(), data.prompts.begin() + 3));
  TaskConfig shots = problems();
  shots.shots = 2;
  const auto prompt = load_task(shots, "t").prompts[1];
  CHECK(prompt.ends_with("\n\n" + data.prompts[1]));
  CHECK(prompt.find("#### ") != std::string::npos);
}

TEST_CASE("contexts with what is asked are those that training reads, of the test split") {
  for (const Task task : {Task::passkey, Task::key_values, Task::variable_trace}) {
    const TaskConfig config{.task = task, .seed = 3, .difficulty_max = 2, .size = 5, .words = 20};
    const TaskData data = load_task(config, "t");
    REQUIRE(data.size() == 5);
    CHECK((data.protocols == std::vector{Protocol::numbers}));
    for (int64_t i = 0; i < 5; ++i) {
      const auto at = static_cast<size_t>(i);
      const auto made = retrieval(*from_name<DataKind>(name_of(task)), 3, Split::test, i, 1 + i % 2, 20);
      const std::string question = made.context + "\n" + made.question;
      CHECK(data.prompts[at] == apply_template(PromptTemplate::plain, question));
      CHECK(data.prompts[at].substr(0, data.context_bytes[at]) == "Question: " + made.context);
      CHECK(score(preset_of(task, Protocol::numbers), data.problems, {{.problem = at, .text = made.answer}},
                  nullptr)[0]
                .correct);
    }
  }
}

TEST_CASE("a cache that acts behind contexts splits prompts there, and refuses those that are one") {
  const Asked asked;
  const TaskConfig config{.task = Task::passkey, .max_new_tokens = 6, .size = 4, .words = 12};
  const auto replies = [&](const TaskConfig& task, const CachePlan& plan) {
    TaskModel model = asked.model();
    model.cache = plan;
    std::vector<std::string> texts(4);
    generate_replies(model, load_task(task, "t"), {}, [&](ReplyPlace place, const std::string& text) {
      texts[static_cast<size_t>(place.first)] = text;
    });
    return texts;
  };
  CachePlan all, half = make_cache_plan({.policy = {.policy = CachePolicyName::window, .share = 0.3}});
  const auto whole = replies(config, all), window = replies(config, half);
  all.behind_context = half.behind_context = true;
  CHECK(replies(config, all) == whole);    // nothing is dropped
  CHECK(replies(config, half) != window);  // the question stays
  TaskConfig shots = problems(4);
  shots.max_new_tokens = 6;
  CHECK_THROWS_WITH(replies(shots, all), ContainsSubstring("prompts that are one"));
  shots.shots = 1;
  const TaskData data = load_task(shots, "t");
  CHECK(data.prompts[0].substr(data.context_bytes[0]) ==
        "Question: " + data.problems[0].question + "\nAnswer:");
}

TEST_CASE("settings that a task cannot have are refused by their keys") {
  TaskConfig config = problems();
  config.protocols = {"lm_eval_strikt"};
  CHECK_THAT(error_of(config), ContainsSubstring("eval.tasks.2.protocols: found 'lm_eval_strikt'") &&
                                   ContainsSubstring("did you mean 'lm_eval_strict'"));
  config = problems();
  config.k = {1, 5};
  CHECK_THAT(error_of(config), ContainsSubstring("eval.tasks.2.k: found 5"));
  config = problems();
  config.samples = 4;
  CHECK_THAT(error_of(config), ContainsSubstring("eval.tasks.2.temperature: found 0"));
  config = problems();
  config.difficulty_min = 5;
  CHECK_THAT(error_of(config), ContainsSubstring("eval.tasks.2.difficulty_min"));
  CHECK_THAT(error_of({.task = Task::gsm8k}), ContainsSubstring("eval.tasks.2.path: found nothing"));
  CHECK_THAT(error_of({.task = Task::piqa, .path = "x", .protocols = {"lm_eval"}}),
             ContainsSubstring("eval.tasks.2.protocols"));
  CHECK_THAT(error_of({.task = Task::gsm8k, .path = "/no/such.jsonl"}), ContainsSubstring("/no/such.jsonl"));
}

TEST_CASE("every problem gets its replies and a score under each protocol, whatever the batches") {
  const Asked asked;
  TaskConfig config = problems();
  config.samples = 2;
  config.temperature = 1;
  const TaskData data = load_task(config, "t");
  std::vector<TaskResult> results;
  for (const int64_t rows : {1, 3, 20}) {
    TaskLog log;
    results.push_back(run_task(asked.model(rows), data, log, nullptr));
  }
  for (const auto& result : results) {
    REQUIRE(result.replies.size() == 14);
    REQUIRE(result.judged.size() == 2);
    CHECK(result.judged[1].size() == 14);
    for (size_t i = 0; i < 14; ++i) {
      CHECK(result.replies[i].problem == i / 2);
      CHECK(result.replies[i].text == results[0].replies[i].text);
      CHECK(result.judged[0][i].result == results[0].judged[0][i].result);
    }
  }
  CHECK(results[0].replies[0].text != results[0].replies[1].text);
}

TEST_CASE("a reply ends only where every protocol has found a stop string") {
  const Asked asked;
  TaskConfig config{.task = Task::code_functions, .shots = 0, .max_new_tokens = 20, .size = 4};
  config.protocols = {"lm_eval", "human_eval"};  // human_eval has no stop strings
  const TaskData data = load_task(config, "t");
  std::vector<std::string> texts;
  generate_replies(asked.model(), data, {},
                   [&](ReplyPlace, const std::string& text) { texts.push_back(text); });
  REQUIRE(texts.size() == 4);
  for (const auto& text : texts) CHECK(text.size() == 20);  // one character a token, and no end token
}

TEST_CASE("a stopped evaluation goes on at the next problem, and gives what an undisturbed one gives") {
  const Asked asked;
  const TaskData data = load_task(problems(), "t");
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "log.jsonl";
  TaskLog memory;
  const auto whole = run_task(asked.model(), data, memory, nullptr);
  struct Stop {};
  int64_t stopped_at = 0;
  {
    TaskLog log(path, "model A");
    CHECK_THROWS_AS(run_task(asked.model(), data, log, nullptr,
                             [&](const TaskProgress& now) {
                               stopped_at = now.done;
                               if (now.done == 3) throw Stop{};
                             }),
                    Stop);
  }
  CHECK(stopped_at == 3);
  // A crash may leave half a line.
  write_file_atomic(path, read_file(path) + R"({"task":"word_problems","prob)");
  TaskLog log(path, "model A");
  CHECK(log.of("word_problems").replies.size() == 3);
  std::vector<int64_t> heard;
  const auto rest =
      run_task(asked.model(), data, log, nullptr, [&](const TaskProgress& now) { heard.push_back(now.done); });
  CHECK(heard == std::vector<int64_t>{3, 4, 5, 6, 7});
  REQUIRE(rest.replies.size() == whole.replies.size());
  for (size_t i = 0; i < rest.replies.size(); ++i) CHECK(rest.replies[i].text == whole.replies[i].text);
  log.remove();
  CHECK_FALSE(std::filesystem::exists(path));
}

// What so many ranks find, rank 0's log having known the first replies.
TaskResult found_by(int64_t ranks, const TaskData& data, int64_t known = 0) {
  TaskResult first;
  test::with_ranks(ranks, [&](World& world) {
    const Asked asked;
    TaskLog log;
    if (world.is_first())
      for (int64_t i = 0; i < known; ++i) log.add(data.config.label(), {i, 0}, "known " + std::to_string(i));
    int64_t last = 0;
    const auto result = run_task(
        asked.model(1), data, log, nullptr, [&](const TaskProgress& now) { last = now.done; }, world);
    CHECK(last == data.size() * data.config.samples);
    if (world.is_first()) first = result;
  });
  return first;
}

TEST_CASE("ranks find what one finds, in the same order, and ask nothing that is known") {
  TaskConfig config = problems(21);  // more than a round of two
  config.samples = 2;
  config.temperature = 1;
  config.max_new_tokens = 4;
  const TaskData data = load_task(config, "t");
  const auto alone = found_by(1, data);
  for (const int64_t ranks : {2, 3}) {
    const auto shared = found_by(ranks, data);
    REQUIRE(shared.replies.size() == 42);
    REQUIRE(shared.judged.size() == 2);
    for (size_t i = 0; i < 42; ++i) {
      CHECK(shared.replies[i].problem == i / 2);
      CHECK(shared.replies[i].text == alone.replies[i].text);
      CHECK(shared.judged[0][i].result == alone.judged[0][i].result);
    }
  }
  const auto rest = found_by(2, data, 3);
  CHECK(rest.replies[0].text == "known 0");
  CHECK(rest.replies[1].text == alone.replies[1].text);
  CHECK(rest.replies[4].text == "known 2");
  CHECK(rest.replies[6].text == alone.replies[6].text);
}

TEST_CASE("ranks share items and documents, bit for bit") {
  TaskData choices{.config = {.task = Task::piqa}}, documents{.config = {.task = Task::perplexity}};
  for (int64_t i = 0; i < 70; ++i) {
    choices.items.push_back(choice_item("Go on " + std::to_string(i), {"x", "yes"}, 0));
    choices.items.back().contexts.resize(2, choices.items.back().contexts[0]);
  }
  for (int64_t i = 0; i < 5; ++i) documents.texts.push_back("some text " + std::to_string(i * i));
  const auto one = found_by(1, choices), three = found_by(3, choices);
  REQUIRE(three.choices.size() == 70);
  for (size_t i = 0; i < 70; ++i) {
    CHECK(three.choices[i].log_likelihoods == one.choices[i].log_likelihoods);
    CHECK(three.choices[i].greedy == one.choices[i].greedy);
  }
  const auto texts = found_by(1, documents), shared = found_by(2, documents);
  REQUIRE(shared.texts.size() == 5);
  for (size_t i = 0; i < 5; ++i) {
    CHECK(shared.texts[i].plain == texts.texts[i].plain);
    CHECK(shared.texts[i].rolling.loglikelihood == texts.texts[i].rolling.loglikelihood);
  }
}

TEST_CASE("what stops one rank stops all, and rank 0's log keeps what it found") {
  struct Stop : RunError {
    Stop() : RunError("stopped") {}
  };
  const TaskData data = load_task(problems(), "t");
  test::with_ranks(2, [&](World& world) {
    const Asked asked;
    TaskLog log;
    const auto stop = [&](const TaskProgress& now) {
      if (world.rank() == 1 && now.done > 1) throw Stop();
    };
    CHECK_THROWS_WITH(run_task(asked.model(1), data, log, nullptr, stop, world), ContainsSubstring("stopped"));
    if (world.is_first()) CHECK(log.of("word_problems").replies.size() == 4);
  });
}

TEST_CASE("what ranks tell each other is what they found, whatever it holds") {
  TaskFindings findings;
  findings.replies[{3, 1}] = std::string("a \"quoted\"\n\0 reply \xE2\x82", 21);
  findings.replies[{4, 0}] = "";
  findings.choices[5] = {{-1.0 / 3, -std::numeric_limits<double>::infinity()}, {true, false}};
  findings.texts[2] = {.plain = std::nan(""), .plain_tokens = 9};
  findings.texts[2].rolling = {-8.1, 4, 21};
  const auto told = told_findings(tell_findings(findings));
  CHECK(told.replies == findings.replies);
  CHECK(told.choices.at(5).log_likelihoods == findings.choices.at(5).log_likelihoods);
  CHECK(told.choices.at(5).greedy == findings.choices.at(5).greedy);
  CHECK(std::isnan(told.texts.at(2).plain));
  CHECK(told.texts.at(2).rolling.loglikelihood == -8.1);
  CHECK(told.texts.at(2).rolling.bytes == 21);
  CHECK(told.texts.at(2).plain_tokens == 9);
  CHECK(told_findings(tell_findings({})).replies.empty());
}

TEST_CASE("a log of another evaluation, or no log, is refused and left alone") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "log.jsonl";
  { TaskLog log(path, "model A"); }
  const std::string before = read_file(path);
  CHECK_THROWS_WITH(TaskLog(path, "model B"), ContainsSubstring("another evaluation"));
  CHECK(read_file(path) == before);
  write_file_atomic(path, "{\"evaluation\": 3}\nno JSON\n");
  CHECK_THROWS_AS(TaskLog(path, "model A"), InputError);
  write_file_atomic(path, "not JSON\n");
  CHECK_THROWS_WITH(TaskLog(path, "model A"),
                    ContainsSubstring(":1: found a line that is not of an evaluation"));
  CHECK_THROWS_AS(TaskLog(folder.path() / "no" / "log", "x"), RunError);
}

TEST_CASE("what is logged reads back") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "log.jsonl";
  {
    TaskLog log(path, "x");
    log.add("humaneval", {3, 1}, "a \"quoted\"\nreply \xE2\x82\xAC");
    log.add("piqa", 5, ChoiceLikelihoods{{-1.25, -0.1}, {true, false}});
    TextScore score{.plain = -7.5, .plain_tokens = 9};
    score.rolling = {-8.125, 4, 21};
    log.add("wiki", 0, score);
  }
  TaskLog log(path, "x");
  CHECK(log.of("humaneval").replies.at({3, 1}) == "a \"quoted\"\nreply \xE2\x82\xAC");
  CHECK(log.of("piqa").choices.at(5).log_likelihoods == std::vector<double>{-1.25, -0.1});
  CHECK(log.of("piqa").choices.at(5).greedy == std::vector<bool>{true, false});
  CHECK(log.of("wiki").texts.at(0).rolling.loglikelihood == -8.125);
  CHECK(log.of("wiki").texts.at(0).rolling.bytes == 21);
  CHECK(log.of("wiki").texts.at(0).plain_tokens == 9);
  CHECK(log.of("other").replies.empty());
}

}  // namespace
}  // namespace attnlab
