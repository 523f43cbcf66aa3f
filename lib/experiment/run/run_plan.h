// Executes a plan.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiment/plan/plan.h"
#include "experiment/run/shard.h"
#include "ranks/world.h"

namespace attnlab {

struct RunFailure {
  std::string run, message;
  bool bad_input = false;  // a damaged state, most often
};

struct RunnerReport {
  int64_t finished = 0;  // by this call
  int64_t complete_before = 0;
  std::vector<std::string> left_to_others;  // still held at the end: "gqa seed 0 (HOST, process PID)"
  std::vector<RunFailure> failures;
};

// Runs what is not complete, in the plan's order. A run that another process works on is passed over, and
// looked at again at the end. A run that fails does not keep the others from theirs. One whose learning rate is
// still being chosen waits for that, and helps. Throws Interrupted.
// `worker`: Reporter's.
// All ranks of `world` call the same: rank 0 goes through the plan, the others join it in each run.
RunnerReport run_plan(const Plan& plan, const Shard& shard, bool worker = false, World& world = World::alone());

// Steps that the plan's runs, but for those that are complete, have in all.
int64_t steps_to_do(const Plan& plan, const Shard& shard);

}  // namespace attnlab
