// score_outputs as a user calls it.
#include <nlohmann/json.hpp>

#include "results/evaluation_file.h"
#include "run_program.h"
#include "sandbox/sandbox.h"

namespace attnlab {
namespace {

using nlohmann::json;
using test::check_refused;
using test::run_program;

class Files {
 public:
  Files() {
    write("gsm8k.jsonl", R"({"question": "q", "answer": "so\n#### 2,125"})"
                         "\n"
                         R"({"question": "r", "answer": "so\n#### 7"})"
                         "\n");
    write("humaneval.jsonl", json{{"task_id", "H/0"},
                                  {"prompt", "def f(x):\n"},
                                  {"entry_point", "f"},
                                  {"test", "def check(f):\n    assert f(1) == 2\n"},
                                  {"canonical_solution", "    return x + 1\n"}}
                                 .dump());
  }
  void write(const std::string& name, const std::string& text) { write_file_atomic(path(name), text); }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  std::string command(const std::string& options, const std::string& data) const {
    return "score_outputs " + options + " --data " + path(data) + " --in " + path("in.jsonl") + " --out " +
           path("out.jsonl");
  }
  // Refused with the message, and nothing written.
  void refused(const std::string& options, const std::string& data, const std::string& message) const {
    check_refused(command(options, data), message);
    CHECK_FALSE(std::filesystem::exists(path("out.jsonl")));
    CHECK_FALSE(std::filesystem::exists(path("out.jsonl.tmp")));
  }

 private:
  test::TemporaryFolder folder_;
};

const std::string strict = "--task gsm8k --protocol lm_eval_strict";

TEST_CASE("score_outputs scores replies in their order") {
  Files files;
  files.write("in.jsonl",
              "{\"id\": 1, \"response\": \"#### 7\"}\n{\"id\": \"0\", \"response\": \"#### 2125\"}\n"
              "{\"id\": 1, \"response\": \"8\"}\n");
  const auto outcome = run_program(files.command(strict, "gsm8k.jsonl"));
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.out, ContainsSubstring("2 of 3 replies are right (gsm8k, lm_eval_strict)"));
  CHECK(read_file(files.path("out.jsonl")) ==
        "{\"id\":1,\"extracted\":\"7\",\"correct\":true,\"result\":\"match\"}\n"
        "{\"id\":\"0\",\"extracted\":\"2125\",\"correct\":true,\"result\":\"match\"}\n"
        "{\"id\":1,\"extracted\":\"[invalid]\",\"correct\":false,\"result\":\"no answer\"}\n");
  CHECK(run_program(files.command(strict + " --limit 1", "gsm8k.jsonl")).code == 0);
  CHECK(read_file(files.path("out.jsonl")) ==
        "{\"id\":1,\"extracted\":\"7\",\"correct\":true,\"result\":\"match\"}\n");
}

TEST_CASE("score_outputs runs programs where there is a sandbox") {
  Files files;
  files.write("in.jsonl",
              "{\"id\": \"H/0\", \"response\": \"    return x + 1\\ndef g\"}\n"
              "{\"id\": \"H/0\", \"response\": \"    return x\"}\n");
  const auto outcome = run_program(files.command("--task humaneval --protocol lm_eval", "humaneval.jsonl"));
  if (const auto reason = Sandbox::unavailable()) {
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.err, ContainsSubstring(*reason));
    CHECK_FALSE(std::filesystem::exists(files.path("out.jsonl")));
    SKIP_TEST(*reason);
  }
  CHECK(outcome.code == 0);
  const std::string lines = read_file(files.path("out.jsonl"));
  const json first = json::parse(lines.substr(0, lines.find('\n')));
  CHECK(first["extracted"] == "    return x + 1");
  CHECK(first["correct"] == true);
  CHECK(first["result"] == "passed");
  CHECK_THAT(lines, ContainsSubstring("\"correct\":false,\"result\":\"failed"));
}

TEST_CASE("score_outputs reads completions and solutions, and counts problems without a reply") {
  Files files;
  files.write("in.jsonl", "{\"task_id\": 1, \"completion\": \"#### 7\"}\n");
  const auto outcome = run_program(files.command(strict, "gsm8k.jsonl"));
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.out, ContainsSubstring("1 of 1 replies are right"));
  CHECK_THAT(outcome.err, ContainsSubstring("note: 1 of 2 problems in ") && ContainsSubstring("have no reply"));
  CHECK(read_file(files.path("out.jsonl")) ==
        "{\"id\":1,\"extracted\":\"7\",\"correct\":true,\"result\":\"match\"}\n");
  if (const auto missing = Sandbox::unavailable()) SKIP_TEST("the sandbox: " + *missing);
  const std::string whole = "def g(x):\n    return x + 1\ndef f(x):\n    return g(x)\n";
  files.write("in.jsonl", json{{"task_id", "H/0"}, {"completion", "    return x + 1\n"}}.dump() + "\n" +
                              json{{"task_id", "H/0"}, {"solution", whole}}.dump() + "\n" +
                              json{{"task_id", "H/0"}, {"completion", whole}}.dump() + "\n");
  for (const char* protocol : {"human_eval", "lm_eval", "evalplus_base"}) {
    CAPTURE(protocol);
    const auto ran =
        run_program(files.command(std::string("--task humaneval --protocol ") + protocol, "humaneval.jsonl"));
    INFO(ran.err);
    CHECK(ran.code == 0);
    const std::string scores = read_file(files.path("out.jsonl"));
    std::vector<bool> correct;
    for (size_t at = scores.find("\"correct\":"); at != std::string::npos;
         at = scores.find("\"correct\":", at + 1))
      correct.push_back(scores[at + 10] == 't');
    REQUIRE(correct.size() == 3);
    CHECK(correct[0]);
    CHECK(correct[1]);
  }
}

TEST_CASE("score_outputs refuses bad input and writes nothing") {
  Files files;
  files.write("in.jsonl", "{\"id\": 0, \"response\": \"#### 7\"}\n{\"id\": 2, \"response\": \"\"}\n");
  files.refused(strict, "gsm8k.jsonl", "in.jsonl:2: id: found 2, expected an id of the 2 problems, 0 to 1");
  files.write("in.jsonl", "{\"id\": 0, \"response\": \"a\", \"response\": \"b\"}\n");
  files.refused(strict, "gsm8k.jsonl", "in.jsonl:1: response: found the key twice");
  files.write("in.jsonl", "{\"id\": 0, \"response\": \"a\"}\n");
  files.refused(strict, "humaneval.jsonl", "humaneval.jsonl:1: question: found no such key");
  files.refused(strict, "nowhere.jsonl", "nowhere.jsonl");
  files.refused("--protocol lm_eval", "gsm8k.jsonl", "--task: found nothing, expected one of gsm8k");
  files.refused("--task gsm8k", "gsm8k.jsonl", "--protocol: found nothing, expected one of lm_eval_strict");
  files.refused("--task gms8k --protocol lm_eval", "gsm8k.jsonl", "did you mean 'gsm8k'?");
  files.refused("--task gsm8k --protocol lm_eval_strcit", "gsm8k.jsonl", "did you mean 'lm_eval_strict'?");
  files.refused("--task gsm8k --protocol bigcode", "gsm8k.jsonl", "for the task gsm8k");
  files.refused("--task piqa --protocol lm_eval", "gsm8k.jsonl", "scored by likelihood");
  files.refused(strict + " --seconds 0", "gsm8k.jsonl", "--seconds: found 0");
  files.refused(strict + " --workers -1", "gsm8k.jsonl", "--workers: found -1");
  files.refused(strict + " --limit -1", "gsm8k.jsonl", "--limit: found -1");
  check_refused("score_outputs " + strict + " --data x --in y", "--out: found nothing");
}

TEST_CASE("score_outputs scores the replies that an evaluation kept, and names what is not in it") {
  Files files;
  EvaluationRecord record;
  record.tasks = {{.label = "gsm8k", .replies = {{1, 0, "1", "#### 7"}, {0, 0, "0", "no"}}}};
  write_evaluation(files.path("e.h5"), record);
  write_evaluation(files.path("tasks.seed3.step20.h5"), record);
  const std::string data = " --data " + files.path("gsm8k.jsonl") + " --out " + files.path("out.jsonl");
  for (const std::string& from : {" --in " + files.path("e.h5"), " --run " + files.path("seed3.h5")}) {
    CHECK(run_program("score_outputs " + strict + from + data).code == 0);
    CHECK_THAT(read_file(files.path("out.jsonl")), ContainsSubstring("\"id\":\"1\",\"extracted\":\"7\""));
    std::filesystem::remove(files.path("out.jsonl"));
  }
  check_refused("score_outputs --task gsm8k_cot --protocol lm_eval_cot --in " + files.path("e.h5") + data,
                "no task 'gsm8k_cot' (there are: gsm8k)");
  check_refused("score_outputs " + strict + " --run " + files.path("seed4.h5") + data,
                "no evaluation of tasks");
  check_refused("score_outputs " + strict + data, "--in FILE or --run FILE");
}

}  // namespace
}  // namespace attnlab
