// Results as the store writes them: two arms that differ in loss and in which problems they solve, with texts
// that try to break out of the page.
#pragma once

#include <cmath>
#include <string>

#include "catch.h"
#include "core/random.h"
#include "results/evaluation_file.h"
#include "results/measurements.h"
#include "results/run_file.h"

namespace attnlab::test {

inline const std::string hostile = "</script><img src=x onerror=alert(1)> \"quoted\" & 'single' <!--";

struct ResultRun {
  std::string experiment = "sample", arm = "gqa", sweep_point = {};
  int64_t arm_index = 0, seed = 0, steps = 60, problems = 12;
  RunState state = RunState::complete;
  bool hostile_texts = true;
};

inline RunHeader report_header(const ResultRun& run) {
  return {.experiment = run.experiment,
          .arm = run.arm,
          .variant = "gqa",
          .sweep_point = run.sweep_point,
          .arm_index = run.arm_index,
          .seed = run.seed,
          .parameters_total = 2'700'000,
          .parameters_trainable = 100'000,
          .cached_numbers_per_token = 128,
          .flops_per_token = 4e6,
          .config = {{"arm.name", run.arm}, {"seed", run.seed}, {"train.lr", 1e-4 * (1 + run.arm_index)}},
          .provenance = {{"revision", std::string("0123abcd")},
                         {"started", "2026-11-2" + std::to_string(run.seed + 1) + "T10:00:00Z"},
                         {"device_name", std::string("Some CPU <fast>")},
                         {"torch", std::string("2.13.0")}},
          .conversion = {{"max_logit_difference", 2.5e-5}, {"positions", int64_t{512}}},
          .resolved_yaml = "experiment: " + run.experiment + "\narm:\n  name: " + run.arm + "\n",
          .prompt_bytes = 200,
          .gold_bytes = 64,
          .output_bytes = 200};
}

inline TrainRow report_train_row(const ResultRun& run, int64_t step) {
  const double x = static_cast<double>(step), arm = static_cast<double>(run.arm_index);
  const double noise = Random(static_cast<uint64_t>(run.seed), static_cast<uint64_t>(step)).uniform() - 0.5;
  return {.step = step,
          .tokens = step * 1000,
          .loss = 1 + std::exp(-x / 20) - 0.01 * arm * (1 + 0.1 * static_cast<double>(run.seed)) + 0.05 * noise,
          .learning_rate = 1e-3,
          .gradient_norm = 1,
          .tokens_per_second = 1e5,
          .seconds = x};
}

// Who solves which problem: the first arm all but every third, others all but every fourth.
inline bool solves(const ResultRun& run, int64_t problem) {
  return run.arm_index == 0 ? problem % 3 != 0 : problem % 4 != 0;
}

inline std::vector<ProblemRow> report_problems(const ResultRun& run, int64_t step) {
  std::vector<ProblemRow> rows;
  for (int64_t i = 0; i < run.problems; ++i) {
    std::string reply = "  step one\n  step two of " + run.arm;
    if (run.hostile_texts) reply += hostile;
    rows.push_back({.step = step,
                    .index = i,
                    .prompt = "\n  Question " + std::to_string(i) + (run.hostile_texts ? hostile : ""),
                    .gold = std::to_string(10 * i),
                    .output = reply,
                    .extracted = solves(run, i) ? std::to_string(10 * i) : "none",
                    .correct = solves(run, i)});
  }
  return rows;
}

// RESULTS/ARM[/POINT]/seedK.h5; returns its path.
inline std::filesystem::path write_result(const std::filesystem::path& results, const ResultRun& run) {
  const auto path = results / run.arm / run.sweep_point / ("seed" + std::to_string(run.seed) + ".h5");
  RunWriter writer = RunWriter::create(path, report_header(run));
  for (int64_t step = 0; step <= run.steps; ++step) {
    if (step > 0) writer.put_train(report_train_row(run, step));
    if (step % (run.steps / 3) != 0) continue;
    const auto problems = report_problems(run, step);
    int64_t correct = 0;
    for (const auto& row : problems) correct += row.correct;
    writer.put_evaluation(
        {.step = step,
         .heldout_loss = 1 + std::exp(-static_cast<double>(step) / 20) + 0.01 * static_cast<double>(run.seed) -
                         (step ? 0.02 * static_cast<double>(run.arm_index) : 0),
         .heldout_tokens = 1000,
         .accuracy = run.problems ? static_cast<double>(correct) / static_cast<double>(run.problems) : 0,
         .correct = correct,
         .problems = run.problems,
         .seconds = 1},
        problems);
  }
  if (run.state != RunState::running) writer.set_status(run.state, run.steps, "by the test");
  return path;
}

inline void write_task(const std::filesystem::path& run_file, const ResultRun& run) {
  TaskRecord task{.label = "code_functions"};
  std::vector<JudgementRow> judgements;
  for (int64_t i = 0; i < 8; ++i) {
    task.replies.push_back({.problem = i, .id = "Task/" + std::to_string(i), .text = "    return " + run.arm});
    judgements.push_back(
        {.problem = i, .correct = solves(run, i), .extracted = "def f(): pass", .result = "passed"});
  }
  task.judgements.emplace_back("lm_eval", judgements);
  EvaluationRecord record;
  record.tasks.push_back(task);
  write_evaluation(tasks_file(run_file, run.steps), record);
}

// Two arms with two seeds each, the second arm's name hostile if asked for; tasks of the first seed.
inline void write_results(const std::filesystem::path& results, ResultRun common = {},
                          const std::string& second = "mla") {
  for (int64_t arm = 0; arm < 2; ++arm)
    for (int64_t seed = 0; seed < 2; ++seed) {
      common.arm = arm == 0 ? "gqa" : second;
      common.arm_index = arm;
      common.seed = seed;
      const auto path = write_result(results, common);
      if (seed == 0 && common.state == RunState::complete) write_task(path, common);
    }
}

inline Measurements sample_measurements(const std::filesystem::path& path) {
  Measurements measured{.path = path};
  measured.provenance = {{"command", std::string("measure <all>")}};
  measured.conversions.push_back(
      {.rank = 32, .cached = 48, .cached_base = 96, .kl = 0.25, .form = "mla_deepseek", .stage = "pca"});
  measured.decode_steps.push_back({.context = 8192, .batch = 1, .fits = 1, .ms = 1.5, .form = "gqa"});
  measured.fits.push_back({.seed = 0, .step = 10, .error = 0.5, .teacher = "mla", .student = "gqa"});
  measured.fits.push_back({.seed = 0, .step = 20, .error = 0.125, .teacher = "mla", .student = "gqa"});
  return measured;
}

}  // namespace attnlab::test
