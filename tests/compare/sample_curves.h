// Runs in memory whose curves are simple functions.
#pragma once

#include "finished_run.h"

namespace attnlab::test {

struct CurveSpec {
  std::string arm = "a";
  int64_t arm_index = 0, seed = 0, steps = 20;
  double slope = -0.01, offset = 0;  // loss = 1 + offset + slope * step
  int64_t tokens_per_step = 100;
  double seconds_per_step = 0.5, flops_per_token = 10;
  std::string sweep_point = {}, experiment = "e";
  RunState state = RunState::complete;
};

inline RunRecord curve_run(const CurveSpec& spec) {
  RunRecord run = finished_run({.experiment = spec.experiment,
                                .arm = spec.arm,
                                .sweep_point = spec.sweep_point,
                                .arm_index = spec.arm_index,
                                .seed = spec.seed,
                                .parameters_trainable = 70'000,
                                .flops_per_token = spec.flops_per_token},
                               spec.steps);
  run.header.config = {{"seed", spec.seed}, {"arm.name", spec.arm}, {"train.steps", int64_t{20}}};
  for (int64_t step = 1; step <= spec.steps; ++step)
    run.train.push_back({.step = step,
                         .tokens = step * spec.tokens_per_step,
                         .loss = 1 + spec.offset + spec.slope * static_cast<double>(step),
                         .seconds = spec.seconds_per_step * static_cast<double>(step)});
  for (int64_t step = 0; step <= spec.steps; step += 10)
    run.evaluations.push_back({.step = step,
                               .heldout_loss = 2 + spec.offset + spec.slope * static_cast<double>(step),
                               .heldout_tokens = 9,
                               .accuracy = 0.25,
                               .problems = 4});
  for (const auto& row : run.evaluations) add_answers(run, row.step, row.problems, row.accuracy);
  run.state = spec.state;
  return run;
}

// Two arms with two seeds each; arm b lies 0.1 below a on seed 0 and 0.2 below on seed 1.
inline std::vector<RunRecord> curve_runs() {
  return {curve_run({.arm = "a"}), curve_run({.arm = "a", .seed = 1, .offset = 0.5}),
          curve_run({.arm = "b", .arm_index = 1, .offset = -0.1}),
          curve_run({.arm = "b", .arm_index = 1, .seed = 1, .offset = 0.3})};
}

}  // namespace attnlab::test
