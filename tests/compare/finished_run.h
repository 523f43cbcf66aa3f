// What all runs have that tests of verdicts make up in memory.
#pragma once

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

}  // namespace attnlab::test
