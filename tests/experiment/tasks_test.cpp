// eval.tasks: from exp.yaml to files beside the runs and a verdict by problem.
#include "catch.h"
#include "compare/task_verdict.h"
#include "results/evaluation_file.h"
#include "results/run_reader.h"
#include "sandbox/sandbox.h"
#include "tiny_experiment.h"

namespace attnlab {
namespace {

using test::TinyExperiment;

const std::string tasks =
    "--set 'eval.tasks=[{task: word_problems, shots: 0, size: 4, max_new_tokens: 6}]' --set 'seeds=[0, 1]'";

std::filesystem::path tasks_file(const TinyExperiment& experiment, int64_t step) {
  return experiment.out / "gqa" / ("tasks.seed1.step" + std::to_string(step) + ".h5");
}

TEST_CASE("tasks are asked before and at the end of each run, and compared by problem") {
  const TinyExperiment experiment;
  const auto dry = experiment.run(tasks + " --dry-run");
  INFO(dry.output);
  CHECK_THAT(dry.output,
             ContainsSubstring("word_problems: 4 problems, lm_eval_strict + lm_eval_flexible; smallest") &&
                 ContainsSubstring("; with 2 seeds at best "));
  const auto outcome = experiment.run(tasks);
  INFO(outcome.output);
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.output,
             ContainsSubstring("word_problems, lm_eval_strict:") && ContainsSubstring("p (Holm)") &&
                 ContainsSubstring("gqa seed 1: step 6: word_problems (lm_eval_strict) accuracy"));
  CHECK(std::filesystem::exists(tasks_file(experiment, 0)));
  const auto record = read_evaluation(tasks_file(experiment, 6));
  CHECK(record.tasks.at(0).replies.size() == 4);
  CHECK(read_runs(experiment.out).size() == 4);  // the other files are no runs
  // Nothing is asked again.
  const auto again = experiment.run(tasks);
  CHECK(again.code == 0);
  CHECK_THAT(again.output, !ContainsSubstring("word_problems (lm_eval_strict) accuracy"));
}

TEST_CASE("a run whose evaluation is gone is evaluated anew when it is run anew") {
  const TinyExperiment experiment;
  REQUIRE(experiment.run(tasks).code == 0);
  const auto replies = read_evaluation(tasks_file(experiment, 6)).tasks.at(0).replies;
  std::filesystem::remove(experiment.file("gqa", 1));
  REQUIRE(experiment.run(tasks).code == 0);
  const auto again = read_evaluation(tasks_file(experiment, 6)).tasks.at(0).replies;
  REQUIRE(again.size() == replies.size());
  for (size_t i = 0; i < replies.size(); ++i) CHECK(again[i].text == replies[i].text);
}

TEST_CASE("code without a sandbox is left out, which is said before and during the run") {
  if (const auto reason = Sandbox::unavailable()) SKIP_TEST(*reason);
  const TinyExperiment experiment;
  const std::string code = "--set 'eval.tasks=[{task: code_functions, size: 2, max_new_tokens: 4}]'";
  ::setenv("ATTNLAB_TEST_PATH", std::getenv("PATH"), 1);
  ::setenv("PATH", "/nowhere", 1);
  const auto without = experiment.run(code);
  ::setenv("PATH", std::getenv("ATTNLAB_TEST_PATH"), 1);
  INFO(without.output);
  CHECK(without.code == 0);
  CHECK_THAT(without.output, ContainsSubstring("warning: task code_functions will be left out: ") &&
                                 ContainsSubstring("gqa seed 0: code_functions is left out: "));
  const TinyExperiment other;
  const auto with = other.run(code);
  INFO(with.output);
  CHECK(with.code == 0);
  CHECK_THAT(with.output, ContainsSubstring("code_functions (lm_eval) pass@1"));
}

TEST_CASE("bad tasks end in one line that names file, line and key, before anything is written") {
  const auto refused = [](const std::string& setting, const std::string& message) {
    const TinyExperiment experiment;
    const auto outcome = experiment.run("--set '" + setting + "'");
    INFO(outcome.output);
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.output, ContainsSubstring(message));
    CHECK_FALSE(std::filesystem::exists(experiment.out));
  };
  refused("eval.tasks=[{task: gsm9k}]", "gsm8k");
  refused("eval.tasks=[{path: x}]", "task");
  refused("eval.tasks=[{task: gsm8k}]", "eval.tasks.gsm8k.path");
  refused("eval.tasks=[{task: gsm8k, path: none.jsonl}]",
          "eval.tasks.0.path: found 'none.jsonl': no such file or folder, expected one that is there");
  refused("eval.tasks=[{task: word_problems}, {task: gsm8k, path: none.jsonl}]", "eval.tasks.1.path: found");
  refused("eval.tasks=[{task: word_problems, protocols: [human_eval]}]", "eval.tasks.word_problems.protocols");
  refused("eval.tasks=[{task: word_problems}, {task: word_problems}]", "eval.tasks.1.name");
  refused("eval.tasks=[{task: word_problems, shot: 3}]", "did you mean 'shots'");
}

// An arm's run with an evaluation beside it, right where `right` says.
RunRecord run_with(const std::filesystem::path& folder, const std::string& arm, int64_t index, int64_t seed,
                   const std::vector<int64_t>& right) {
  RunRecord run;
  run.header.experiment = "e";
  run.header.arm = arm;
  run.header.arm_index = index;
  run.header.seed = seed;
  run.state = RunState::complete;
  run.last_step = 9;
  run.path = folder / arm / ("seed" + std::to_string(seed) + ".h5");
  EvaluationRecord record;
  TaskRecord task{.label = "t"};
  std::vector<JudgementRow> rows;
  for (size_t i = 0; i < right.size(); ++i)
    rows.push_back({.problem = static_cast<int64_t>(i), .correct = right[i]});
  task.judgements = {{"p", rows}};
  record.tasks = {task};
  write_evaluation(folder / arm / ("tasks.seed" + std::to_string(seed) + ".step9.h5"), record);
  return run;
}

TEST_CASE("one seed is compared by problems alone: McNemar's test on those on which arms differ") {
  const test::TemporaryFolder folder;
  std::vector<int64_t> base(40, 0), better(40, 0);
  for (size_t i = 0; i < 40; ++i) better[i] = i < 10, base[i] = i == 20;
  const auto rows =
      compare_tasks({run_with(folder.path(), "a", 0, 0, base), run_with(folder.path(), "b", 1, 0, better)});
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].is_baseline);
  CHECK(rows[1].difference.value == Approx(9.0 / 40));
  // 10 against 1: 2 P(K <= 1) - P(K = 1) for K ~ Binomial(11, 1/2) = (2 * 12 - 11) / 2048.
  CHECK(rows[1].p == Approx(13.0 / 2048));
  CHECK(rows[1].p_holm == Approx(13.0 / 2048));
  CHECK(rows[1].difference.low > 0);
  CHECK_THAT(format_task_verdict(rows, TableStyle::text), ContainsSubstring("higher"));
}

TEST_CASE("several seeds are compared with seeds and problems random, and p is adjusted over the arms") {
  const test::TemporaryFolder folder;
  std::vector<RunRecord> runs;
  for (int64_t seed = 0; seed < 3; ++seed) {
    std::vector<int64_t> base(60), same(60), better(60);
    for (int64_t i = 0; i < 60; ++i) {
      const auto place = static_cast<size_t>(i);
      base[place] = i % 3 == 0;
      same[place] = (i + (i == seed)) % 3 == 0;
      better[place] = i % 3 != 1 || i == seed;
    }
    runs.push_back(run_with(folder.path(), "a", 0, seed, base));
    runs.push_back(run_with(folder.path(), "b", 1, seed, same));
    runs.push_back(run_with(folder.path(), "c", 2, seed, better));
  }
  const auto rows = compare_tasks(runs);
  REQUIRE(rows.size() == 3);
  CHECK(rows[2].seeds == 3);
  CHECK(rows[2].problems == 60);
  CHECK(verdict_of(rows[1].difference) == Verdict::no_difference_shown);
  CHECK(verdict_of(rows[2].difference) == Verdict::higher);
  CHECK(rows[2].p_holm == Approx(2 * rows[2].p));
  const auto other = compare_tasks(runs, "c");
  CHECK(other[2].is_baseline);
  CHECK(verdict_of(other[0].difference) == Verdict::lower);
}

}  // namespace
}  // namespace attnlab
