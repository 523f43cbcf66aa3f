#include "tasks/problems.h"

#include "core/files.h"
#include "gzip_file.h"
#include "support.h"

namespace attnlab {
namespace {

using test::refusal;

class DataFile {
 public:
  std::vector<Problem> read(Task task, const std::string& text, const std::string& name = "data.jsonl") {
    write_file_atomic(folder_.path() / name, text);
    return read_problems(task, folder_.path() / name);
  }
  std::string refused(Task task, const std::string& text, const std::string& name = "data.jsonl") {
    return refusal([&] { read(task, text, name); });
  }
  std::filesystem::path path(const std::string& name) const { return folder_.path() / name; }

 private:
  test::TemporaryFolder folder_;
};

const std::string kMbpp =
    R"({"task_id": 11, "text": "t", "code": "import re\ndef g(a):\n  pass\ndef f(a):\n  pass", "test_list": )";

TEST_CASE("GSM8K problems are counted from 0 and end in a number") {
  DataFile file;
  const auto problems = file.read(Task::gsm8k, R"({"question": "q", "answer": "so\n#### 2,125 "})"
                                               "\n\n"
                                               R"({"question": "r", "answer": "#### 7"})");
  REQUIRE(problems.size() == 2);
  CHECK(problems[0].gold == "2,125");
  CHECK(problems[1].id == "1");
  CHECK(problems[1].question == "r");
  CHECK_THAT(file.refused(Task::gsm8k, R"({"question": "q", "answer": "72"})"),
             ContainsSubstring("data.jsonl:1: answer: found no final answer"));
  CHECK_THAT(file.refused(Task::gsm8k, R"({"question": "q", "answer": "72\n#### "})"),
             ContainsSubstring("no final answer"));
  CHECK_THAT(file.refused(Task::gsm8k, R"({"qestion": "q", "answer": "#### 1"})"),
             ContainsSubstring("question: found no such key") && ContainsSubstring("qestion"));
}

TEST_CASE("MATH problems have a boxed answer") {
  DataFile file;
  const auto problems = file.read(Task::math, R"({"problem": "p", "solution": "so \\boxed{5}", "level": "1"})");
  CHECK(problems[0].gold == "5");
  CHECK_THAT(file.refused(Task::math, R"({"problem": "p", "solution": "5"})"),
             ContainsSubstring(":1: solution: found no final answer"));
  CHECK_THAT(file.refused(Task::math, R"({"problem": "p", "solution": "\\fbox{5}"})"),
             ContainsSubstring("no final answer"));
}

TEST_CASE("HumanEval problems come compressed") {
  DataFile file;
  test::append_gzip(
      file.path("h.jsonl.gz"),
      R"({"task_id": "H/0", "prompt": "def f():\n", "entry_point": "f", "test": "def check(c): pass",)"
      R"( "canonical_solution": "    return 1\n"})");
  const auto problems = read_problems(Task::humaneval, file.path("h.jsonl.gz"));
  CHECK(problems[0].id == "H/0");
  CHECK(problems[0].calls_check);
  CHECK(problems[0].entry_point == "f");
  CHECK_THAT(file.refused(Task::humaneval, R"({"task_id": "H/0", "prompt": "p"})"),
             ContainsSubstring("no such key"));
}

TEST_CASE("MBPP problems have assertions, and their function is found in them") {
  DataFile file;
  const auto problems = file.read(Task::mbpp, kMbpp + R"x(["assert set(f(1)) == 2", "assert g(f(2))"]})x");
  CHECK(problems[0].id == "11");
  CHECK(problems[0].entry_point == "f");
  CHECK(problems[0].tests == "assert set(f(1)) == 2\nassert g(f(2))");
  CHECK_FALSE(problems[0].calls_check);
  CHECK(is_test_problem(Task::mbpp, problems[0]));
  CHECK_FALSE(is_test_problem(Task::mbpp, {.id = "511"}));
  CHECK(is_test_problem(Task::mbpp, {.id = "Mbpp/511a"}));
  CHECK(is_test_problem(Task::mbpp, {.id = "Mbpp/11"}));
  CHECK_FALSE(is_test_problem(Task::mbpp, {.id = "Mbpp/10"}));
  CHECK(is_test_problem(Task::gsm8k, {.id = "511"}));
  CHECK_THAT(file.refused(Task::mbpp, kMbpp + "[]}"), ContainsSubstring("test_list: found an empty list"));
  CHECK_THAT(file.refused(Task::mbpp, kMbpp + "\"assert\"}"), ContainsSubstring("test_list: found string"));
  CHECK_THAT(file.refused(Task::mbpp, kMbpp + "[1]}"),
             ContainsSubstring("test_list: found a list with number"));
  CHECK_THAT(file.refused(Task::mbpp, R"({"task_id": 1.5, "text": "t", "code": "", "test_list": ["a"]})"),
             ContainsSubstring("task_id: found number"));
  const std::string line = kMbpp + "[\"assert f(1)\"]}\n";
  CHECK_THAT(file.refused(Task::mbpp, line + line), ContainsSubstring(":2: task_id: found 11 again"));
}

TEST_CASE("the sanitised MBPP problems are one array with imports") {
  DataFile file;
  const std::string row =
      R"({"task_id": 2, "prompt": "p", "code": "def f(): pass", "test_imports": ["import math"],)"
      R"x( "test_list": ["assert f()"]})x";
  const auto problems = file.read(Task::mbpp, "[" + row + "]", "sanitized.json");
  CHECK(problems[0].question == "p");
  CHECK(problems[0].tests == "import math\nassert f()");
  CHECK_THAT(file.refused(Task::mbpp, "[1]", "a.json"), ContainsSubstring(":1: found number"));
  CHECK(file.read(Task::mbpp, "[\n" + row + "]", "sanitized.jsonl").size() == 1);
  CHECK_THAT(file.refused(Task::mbpp, "[\n" + row + ",\n" + row + "]", "a.json"),
             ContainsSubstring("a.json:3: task_id: found 2 again"));
  CHECK_THAT(file.refused(Task::mbpp, "{}", "a.json"), ContainsSubstring(":1: task_id: found no such key"));
  CHECK_THAT(file.refused(Task::mbpp, "[", "a.json"), ContainsSubstring("an array that ends too early"));
  CHECK_THAT(file.refused(Task::mbpp, "[]", "a.json"), ContainsSubstring("no examples"));
}

TEST_CASE("the project's own functions are HumanEval prompts with assertions") {
  DataFile file;
  const std::string row =
      R"({"task_id": "G/1", "prompt": "def f():\n", "entry_point": "f", "canonical_solution":)"
      R"( "    return 1\n", "test_list": )";
  const auto problems = file.read(Task::code_functions, row + R"(["assert f() == 1"]})");
  CHECK(problems[0].tests == "assert f() == 1");
  CHECK_FALSE(problems[0].calls_check);
  CHECK_THAT(file.refused(Task::code_functions, row + "[]}"),
             ContainsSubstring("test_list: found an empty list"));
}

TEST_CASE("contexts with a question in the last line, as generate_data writes them") {
  DataFile file;
  const auto problems =
      file.read(Task::key_values, R"({"question": "a: 12\nb: 34\nWhat are a and b?", "answer": "#### 12,34"})");
  CHECK(problems[0].context == "a: 12\nb: 34");
  CHECK(problems[0].question == "What are a and b?");
  CHECK(problems[0].gold == "12,34");
  CHECK_THAT(file.refused(Task::passkey, R"({"question": "What?", "answer": "#### 1"})"),
             ContainsSubstring("question: found one line"));
  CHECK_THAT(file.refused(Task::passkey, R"({"question": "a\nWhat?", "answer": "1"})"),
             ContainsSubstring("answer: found no final answer"));
}

TEST_CASE("the public data sets are read whole") {
  const auto humaneval = test::data_set("humaneval/HumanEval.jsonl.gz"),
             mbpp = test::data_set("mbpp/mbpp.jsonl");
  if (!test::all_there({humaneval, mbpp})) SKIP_TEST("no public data sets");
  CHECK(read_problems(Task::humaneval, humaneval).size() == 164);
  const auto problems = read_problems(Task::mbpp, mbpp);
  CHECK(problems.size() == 974);
  int tests = 0, without_entry = 0;
  for (const auto& problem : problems) {
    tests += is_test_problem(Task::mbpp, problem);
    without_entry += problem.entry_point.empty();
  }
  CHECK(tests == 500);
  CHECK(without_entry == 0);
}

}  // namespace
}  // namespace attnlab
