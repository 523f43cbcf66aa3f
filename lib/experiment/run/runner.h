// Executes a plan.
#pragma once

#include <string>
#include <vector>

#include "experiment/plan/plan.h"

namespace attnlab {

// Part `index` (from 1) of `count`: the runs whose place in the plan is index - 1 modulo count.
struct Shard {
  int64_t index = 1, count = 1;
  bool holds(size_t place) const { return static_cast<int64_t>(place) % count == index - 1; }
};
// "2/8". Throws InputError.
Shard parse_shard(const std::string& text);

// Everything that can be known before the first byte is written: that inputs exist and fit, that each arm can
// be made and trains something, that the device is there, that result files belong to this config. Throws
// InputError with the config's line. Returns warnings (trainable parameters that differ by more than 5 %).
std::vector<std::string> validate_plan(const Plan& plan);

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
RunnerReport run_plan(const Plan& plan, const Shard& shard);

// The verdict over the plan's runs that are complete.
std::string verdict_of_plan(const Plan& plan);

}  // namespace attnlab
