// What all runs have that tests of verdicts make up in memory.
#pragma once

#include <cmath>
#include <string>
#include <utility>

#include "results/run_reader.h"

namespace attnlab::test {

// A complete run under the path that the store would give it; without rows.
inline RunRecord finished_run(RunHeader header, int64_t steps) {
  RunRecord run;
  header.variant = header.arm;
  run.path = header.experiment + "/" + header.arm + "/" + header.sweep_point + "/seed" +
             std::to_string(header.seed) + ".h5";
  run.header = std::move(header);
  run.state = RunState::complete;
  run.last_step = steps;
  return run;
}

// The answers of an evaluation of so many problems, the first ones right.
inline void add_answers(RunRecord& run, int64_t step, int64_t problems, double share) {
  const auto right = std::llround(share * static_cast<double>(problems));
  for (int64_t i = 0; i < problems; ++i)
    run.answers.push_back({.step = step, .index = i, .correct = i < right});
}

}  // namespace attnlab::test
