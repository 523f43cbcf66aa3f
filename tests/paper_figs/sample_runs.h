// Finished runs on disk, as the store writes them, and make_figures called as a user calls it.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "catch.h"
#include "core/files.h"
#include "core/random.h"
#include "results/evaluation_file.h"
#include "results/run_file.h"

namespace attnlab::test {

struct SampleRun {
  std::string arm = "gqa";
  int64_t arm_index = 0, seed = 0;
  int64_t steps = 60;
  int64_t evaluate_every = 20;
  std::string sweep_point = {};
  std::string experiment = "sample";
  bool at_start = true;  // an evaluation at step 0
  int64_t problems = 200;
  RunState state = RunState::complete;
  int64_t cached = 128;                            // numbers per token
  std::optional<double> cache_bytes = {};          // of 8192 tokens
  FlatFields config = {};                          // of the file
  bool with_tasks = false;                         // an evaluation of two tasks beside the file
  std::vector<std::string> protocols = {"plain"};  // of the tasks; all but the first find no reply right
};

inline RunHeader header_of(const SampleRun& run) {
  return {.experiment = run.experiment,
          .arm = run.arm,
          .variant = run.arm,
          .sweep_point = run.sweep_point,
          .arm_index = run.arm_index,
          .seed = run.seed,
          .parameters_total = 2'000'000,
          .parameters_trainable = 100'000,
          .cached_numbers_per_token = run.cached,
          .cache_context = run.cache_bytes ? std::optional<int64_t>(8192) : std::nullopt,
          .cache_bytes = run.cache_bytes,
          .flops_per_token = 4e6,
          .config = run.config};
}

// A loss that falls, with noise that is the same in all arms of a seed, as the same data give.
inline TrainRow train_row(const SampleRun& run, int64_t step) {
  const double x = static_cast<double>(step), arm = static_cast<double>(run.arm_index);
  const double noise = Random(static_cast<uint64_t>(run.seed), static_cast<uint64_t>(step)).uniform() - 0.5;
  return {.step = step,
          .tokens = step * 4096,
          .loss = 1.1 + 0.6 * std::exp(-x / (30 + 4 * arm)) - 0.02 * arm + 0.12 * noise +
                  0.01 * static_cast<double>(run.seed),
          .learning_rate = 1e-3,
          .gradient_norm = 1,
          .tokens_per_second = 1e5,
          .seconds = x};
}

inline EvaluationRow evaluation_row(const SampleRun& run, int64_t step) {
  const double x = static_cast<double>(step), arm = static_cast<double>(run.arm_index);
  const double noise =
      Random(static_cast<uint64_t>(run.seed * 10 + run.arm_index), static_cast<uint64_t>(step)).uniform() - 0.5;
  const double share = 0.34 + 0.12 * (1 - std::exp(-x / 30)) + (step ? 0.03 * arm + 0.04 * noise : 0);
  const auto correct = static_cast<int64_t>(share * static_cast<double>(run.problems));
  return {.step = step,
          .heldout_loss = 1.15 + 0.5 * std::exp(-x / 30) - (step ? 0.02 * arm : 0) + 0.02 * noise,
          .heldout_tokens = 1000,
          .accuracy = static_cast<double>(correct) / static_cast<double>(run.problems),
          .correct = correct,
          .problems = run.problems,
          .seconds = 1};
}

// Whether the run solves a problem of a task; arms behind the first solve more.
inline bool solves(const SampleRun& run, const std::string& task, int64_t problem) {
  return (problem * 7 + run.seed * 3 + std::ssize(task)) % 10 < 4 + run.arm_index;
}

inline void write_tasks(const std::filesystem::path& run_file, const SampleRun& run) {
  EvaluationRecord record;
  for (const std::string task : {"gsm8k", "humaneval"}) {
    TaskRecord& written = record.tasks.emplace_back(TaskRecord{.label = task});
    for (const std::string& protocol : run.protocols) {
      std::vector<JudgementRow> rows;
      for (int64_t problem = 0; problem < 30; ++problem)
        rows.push_back(
            {.problem = problem, .correct = protocol == run.protocols.front() && solves(run, task, problem)});
      written.judgements.emplace_back(protocol, rows);
    }
  }
  write_evaluation(tasks_file(run_file, run.steps), record);
}

inline void write_run_file(const std::filesystem::path& path, const SampleRun& run) {
  RunWriter writer = RunWriter::create(path, header_of(run));
  for (int64_t step = 0; step <= run.steps; ++step) {
    if (step > 0) writer.put_train(train_row(run, step));
    if (step % run.evaluate_every != 0 || (step == 0 && !run.at_start)) continue;
    const EvaluationRow row = evaluation_row(run, step);
    std::vector<ProblemRow> problems;
    for (int64_t i = 0; i < run.problems; ++i)
      problems.push_back({.step = step, .index = i, .correct = i < row.correct});
    writer.put_evaluation(row, problems);
  }
  if (run.state != RunState::running) writer.set_status(run.state, run.steps, "by the test");
  if (run.with_tasks) write_tasks(path, run);
}

// Writes RESULTS/ARM[/POINT]/seedK.h5.
inline std::filesystem::path write_run(const std::filesystem::path& results, const SampleRun& run) {
  const auto path = results / run.arm / run.sweep_point / ("seed" + std::to_string(run.seed) + ".h5");
  write_run_file(path, run);
  return path;
}

// Three arms with three seeds each.
inline void write_experiment(const std::filesystem::path& results, const SampleRun& common = {}) {
  const std::vector<std::string> arms{"gqa", "mla_identity", "mla_orthogonal"};
  for (size_t arm = 0; arm < arms.size(); ++arm)
    for (int64_t seed = 0; seed < 3; ++seed) {
      SampleRun run = common;
      run.arm = arms[arm];
      run.arm_index = static_cast<int64_t>(arm);
      run.seed = seed;
      write_run(results, run);
    }
}

struct Called {
  int status = -1;
  std::string out, err;
};

// make_figures ARGUMENTS, with `environment` ("NAME=value …") before it.
inline Called make_figures(const std::string& arguments, const std::string& environment = "") {
  const TemporaryFolder folder;
  const auto out = folder.path() / "out", err = folder.path() / "err";
  const std::string program = (bin_dir() / "make_figures").string();
  const int status = std::system((environment + " " + program + " " + arguments + " >" + out.string() + " 2>" +
                                  err.string() + " </dev/null")
                                     .c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(out), read_file(err)};
}

inline bool has_gnuplot() { return std::system("command -v gnuplot >/dev/null") == 0; }

}  // namespace attnlab::test
