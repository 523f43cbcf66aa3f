#include "tasks/presets.h"

#include <algorithm>

#include "support.h"

namespace attnlab {
namespace {

TEST_CASE("a protocol is refused for a task that it does not know") {
  CHECK(test::refusal([] { preset_of(Task::gsm8k, Protocol::lm_eval); }) ==
        "--protocol: found 'lm_eval', expected one of lm_eval_strict, lm_eval_flexible, lm_eval_cot, "
        "lm_eval_cot_flexible, transmla_v1 for the task gsm8k");
  CHECK_THAT(test::refusal([] { preset_of(Task::piqa, Protocol::lm_eval); }),
             ContainsSubstring("no protocol: it is scored by likelihood for the task piqa"));
}

TEST_CASE("every task with replies has protocols, and every preset can ask and score") {
  for (const auto& [name, task] : EnumNames<Task>::rows) {
    CAPTURE(std::string(name));
    const bool replies = kind_of(task) == TaskKind::answer || kind_of(task) == TaskKind::code;
    CHECK(protocols_of(task).empty() != replies);
    for (const Protocol protocol : protocols_of(task)) {
      const Preset& preset = preset_of(task, protocol);
      const bool sanitized = preset.sanitized != Preset::Sanitized::no;
      CHECK(preset.question != nullptr);
      CHECK((preset.extract != nullptr) != sanitized);
      CHECK((preset.matches != nullptr) == (kind_of(task) == TaskKind::answer));
      CHECK((preset.program != nullptr) == (kind_of(task) == TaskKind::code));
      CHECK((preset.shots == 0 || preset.solution != nullptr));
    }
  }
}

TEST_CASE("a retrieval's reply begins with the numbers that were asked for") {
  const Preset& preset = preset_of(Task::key_values, Protocol::numbers);
  const Problem problem{.question = "What?", .context = "a: 12\nb: 34", .gold = "12,34"};
  CHECK(preset.question(problem) == "Question: a: 12\nb: 34\nWhat?\nAnswer: ");
  const auto right = [&](const char* reply) { return preset.matches(preset.extract(reply), problem); };
  CHECK(right("#### 12,34"));
  CHECK(right("12 and 34. Then 56"));
  CHECK_FALSE(right("34 and 12"));
  CHECK_FALSE(right("12,345"));
  CHECK_FALSE(right("12"));
  CHECK_FALSE(right("I don't know"));
}

TEST_CASE("the project's own tasks are scored as the public ones of their form") {
  CHECK(protocols_of(Task::word_problems) == protocols_of(Task::gsm8k));
  CHECK(protocols_of(Task::code_functions) == protocols_of(Task::humaneval));
}

}  // namespace
}  // namespace attnlab
