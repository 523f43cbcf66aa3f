#include "tasks/problems.h"

#include <nlohmann/json.hpp>
#include <unordered_set>

#include "core/errors.h"
#include "core/jsonl.h"
#include "core/numbers.h"
#include "tasks/boxed.h"
#include "tasks/unicode.h"

namespace attnlab {
namespace {

using nlohmann::json;

std::vector<std::string> text_list(const Record& record, const char* key) {
  const json& list = record.member(key, "a list of strings");
  if (!list.is_array()) record.fail(key, list.type_name(), "a list of strings");
  std::vector<std::string> texts;
  for (const json& item : list) {
    if (!item.is_string())
      record.fail(key, std::string("a list with ") + item.type_name(), "a list of strings");
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

std::string task_id(const Record& record) {
  const json& id = record.member("task_id", "a string or a whole number");
  if (id.is_string()) return id.get<std::string>();
  if (!id.is_number_integer()) record.fail("task_id", id.type_name(), "a string or a whole number");
  return id.dump();
}

Problem read_gsm8k_problem(const Record& record) {
  Problem problem{.question = record.text("question"), .answer = record.text("answer")};
  const size_t mark = problem.answer.rfind("####");
  if (mark != std::string::npos) problem.gold = stripped(problem.answer.substr(mark + 4));
  if (problem.gold.empty()) record.fail("answer", "no final answer", "a last line \"#### N\"");
  return problem;
}

// As generate_data writes them: the question is the last line of what is asked.
Problem read_retrieval_problem(const Record& record) {
  Problem problem = read_gsm8k_problem(record);
  const size_t line = problem.question.rfind('\n');
  if (line == std::string::npos)
    record.fail("question", "one line", "a context, and a question in a line below it");
  problem.context = problem.question.substr(0, line);
  problem.question.erase(0, line + 1);
  return problem;
}

Problem read_math_problem(const Record& record) {
  Problem problem{.question = record.text("problem"), .answer = record.text("solution")};
  const auto boxed = last_boxed(problem.answer);
  const auto gold = boxed ? inside_boxed(*boxed) : std::nullopt;
  if (!gold) record.fail("solution", "no final answer", "a \\boxed answer");
  problem.gold = *gold;
  return problem;
}

Problem read_humaneval_problem(const Record& record) {
  return {.id = task_id(record),
          .prompt = record.text("prompt"),
          .code = record.text("canonical_solution"),
          .tests = record.text("test"),
          .entry_point = record.text("entry_point"),
          .calls_check = true};
}

bool is_name_character(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// MBPP names no entry point: it is the first function of the reference that the first assertion mentions.
std::string tested_function(const std::string& code, const std::string& assertion) {
  for (size_t at = 0; at < assertion.size();) {
    size_t end = at;
    while (end < assertion.size() && is_name_character(assertion[end])) ++end;
    const std::string word = assertion.substr(at, end - at);
    if (!word.empty() && (code.find("def " + word + "(") != std::string::npos ||
                          code.find("def " + word + " (") != std::string::npos))
      return word;
    at = end + 1;
  }
  return "";
}

Problem read_mbpp_problem(const Record& record) {
  const bool sanitized = !record.has("text") && record.has("prompt");
  Problem problem{.id = task_id(record),
                  .question = record.text(sanitized ? "prompt" : "text"),
                  .code = record.text("code"),
                  .assertions = text_list(record, "test_list")};
  if (problem.assertions.empty()) record.fail("test_list", "an empty list", "assertions");
  std::vector<std::string> lines;
  if (record.has("test_imports")) lines = text_list(record, "test_imports");
  lines.insert(lines.end(), problem.assertions.begin(), problem.assertions.end());
  problem.tests = join(lines, "\n");
  problem.entry_point = tested_function(problem.code, problem.assertions[0]);
  return problem;
}

Problem read_code_function(const Record& record) {
  Problem problem{.id = task_id(record),
                  .prompt = record.text("prompt"),
                  .code = record.text("canonical_solution"),
                  .assertions = text_list(record, "test_list"),
                  .entry_point = record.text("entry_point")};
  if (problem.assertions.empty()) record.fail("test_list", "an empty list", "assertions");
  problem.tests = join(problem.assertions, "\n");
  return problem;
}

Problem read_problem(Task task, const Record& record) {
  switch (task) {
    case Task::math:
      return read_math_problem(record);
    case Task::humaneval:
      return read_humaneval_problem(record);
    case Task::mbpp:
      return read_mbpp_problem(record);
    case Task::code_functions:
      return read_code_function(record);
    case Task::passkey:
    case Task::key_values:
    case Task::variable_trace:
      return read_retrieval_problem(record);
    default:
      return read_gsm8k_problem(record);
  }
}

}  // namespace

std::vector<Problem> read_problems(Task task, const std::filesystem::path& path) {
  ATTNLAB_CHECK(kind_of(task) == TaskKind::answer || kind_of(task) == TaskKind::code);
  std::vector<Problem> problems;
  std::unordered_set<std::string> ids;
  for_each_record(path, [&](const Record& record) {
    Problem problem = read_problem(task, record);
    if (problem.id.empty()) problem.id = std::to_string(problems.size());
    if (!ids.insert(problem.id).second) record.fail("task_id", problem.id + " again", "an id of its own");
    problems.push_back(std::move(problem));
  });
  if (problems.empty())
    throw InputError(BadInput{.file = path.string(), .found = "no problems", .expected = "at least one"});
  return problems;
}

namespace {
// MBPP's number of a problem: "11", or evalplus's "Mbpp/11".
std::optional<int64_t> mbpp_number(const Problem& problem) {
  const std::string_view name = problem.id;
  return parse_number<int64_t>(name.substr(name.rfind('/') + 1));
}
}  // namespace

bool is_test_problem(Task task, const Problem& problem) {
  if (task != Task::mbpp) return true;
  const auto id = mbpp_number(problem);
  return !id || (*id >= 11 && *id <= 510);
}

bool is_training_problem(Task task, const Problem& problem) {
  if (task != Task::mbpp) return true;
  const auto id = mbpp_number(problem);
  return !id || (*id >= 601 && *id <= 974);
}

}  // namespace attnlab
