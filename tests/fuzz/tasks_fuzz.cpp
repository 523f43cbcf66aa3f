// Bytes as a task's problems and as replies to problems: refused with InputError, or problems that every
// protocol can ask, and replies that every protocol can read.
#include <cstdint>
#include <string>
#include <vector>

#include "core/jsonl.h"
#include "fuzz_file.h"
#include "tasks/choice_readers.h"
#include "tasks/presets.h"
#include "tasks/problems.h"
#include "tasks/responses.h"

using namespace attnlab;

namespace {

const std::vector<Problem>& fixed_problems() {
  static const std::vector<Problem> problems = [] {
    std::vector<Problem> made{{.id = "0", .question = "One and one?", .answer = "#### 2", .gold = "2"},
                              {.id = "11", .answer = "\\boxed{\\frac{1}{2}}", .gold = "\\frac{1}{2}"},
                              {.id = "HumanEval/0", .gold = "-1,234.50", .prompt = "def f(x):\n"}};
    for (Problem& problem : made) problem.assertions = {"assert f(1) == 1"};
    return made;
  }();
  return problems;
}

// Cuts a text as a reply under all protocols of the task, and compares what is cut out.
void extract_all(Task task, const std::string& text, const Problem& problem) {
  for (const Protocol protocol : protocols_of(task)) {
    const Preset& preset = preset_of(task, protocol);
    if (!preset.extract) continue;
    const std::string extracted = extract(preset, text);
    if (preset.matches) preset.matches(extracted, problem);
    if (preset.program) preset.program(problem, extracted);
  }
}

void ask_all(Task task, const std::vector<Problem>& problems) {
  ATTNLAB_CHECK(!problems.empty());
  for (const Problem& problem : problems) {
    is_test_problem(task, problem);
    for (const Protocol protocol : protocols_of(task)) {
      const Preset& preset = preset_of(task, protocol);
      preset.question(problem);
      if (preset.solution) preset.solution(problem);
    }
    extract_all(task, problem.answer + problem.code, problem);
  }
}

void check_choices(const std::vector<ChoiceItem>& items) {
  ATTNLAB_CHECK(!items.empty());
  for (const ChoiceItem& item : items) {
    ATTNLAB_CHECK(item.choices.size() >= 2 && item.contexts.size() == item.choices.size());
    ATTNLAB_CHECK(item.continuations.size() == item.choices.size());
    ATTNLAB_CHECK(item.gold >= 0 && item.gold < static_cast<int64_t>(item.choices.size()));
  }
  with_shots(items, items, 1);
}

void check_responses(const std::string& path) {
  const Responses responses = read_responses(path, fixed_problems());
  ATTNLAB_CHECK(responses.ids.size() == responses.replies.size());
  std::vector<Score> scores;
  for (const Reply& reply : responses.replies) {
    for (const auto& [name, task] : EnumNames<Task>::rows)
      extract_all(task, reply.text, fixed_problems().at(reply.problem));
    scores.push_back({.extracted = reply.text, .result = "no match"});
  }
  const std::string lines = score_lines(responses, scores);
  ATTNLAB_CHECK(std::count(lines.begin(), lines.end(), '\n') == static_cast<int64_t>(scores.size()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const MemoryFile file(as_text(data, size));
  const std::string path = file.path();
  // What is no file of objects is refused alike by all.
  if (!read_or_refuse([&] { for_each_record(path, [](const Record&) {}); })) return 0;
  for (const auto& row : EnumNames<Task>::rows) {
    const Task task = row.second;
    const TaskKind kind = kind_of(task);
    if (kind == TaskKind::choice) {
      read_or_refuse([&] { check_choices(read_choices(task, path)); });
    } else if (kind != TaskKind::perplexity) {
      read_or_refuse([&] { ask_all(task, read_problems(task, path)); });
    }
  }
  read_or_refuse([&] { check_responses(path); });
  return 0;
}
