// What a plan would cost.
#pragma once

#include <string>
#include <vector>

#include "experiment/plan/plan.h"

namespace attnlab {

struct RunCost {
  const PlannedRun* run = nullptr;
  int64_t parameters_total = 0, parameters_trainable = 0, cached_numbers_per_token = 0;
  int64_t largest_layer = 0, around_layers = 0;  // parameters
  double cache_bytes = 0;                        // that a sequence of eval.cache.report_context tokens keeps
  double flops_per_token = 0;                    // forward
  int64_t disk_bytes = 0;     // run file (without compression), saved state and weights that are kept
  int64_t weights_bytes = 0;  // of seedN.model; 0: the trained weights are thrown away
};

// Builds each arm's model once per sweep point; loads the base and the data. Throws InputError, too for
// evaluations of more examples than are held out where the config says how many.
std::vector<RunCost> count_runs(const Plan& plan);

// One line for each sweep point whose arms differ by more than 5 % in trainable parameters.
std::vector<std::string> parameter_warnings(const std::vector<RunCost>& costs);

// One line for each set of training data that the plan's runs cut into rows: what it holds, and what rows lose
// of it. Tokenises them (and writes nothing).
std::string describe_data(const Plan& plan);

// `ranks`: that make each run together.
std::string format_costs(const Plan& plan, const std::vector<RunCost>& costs, int64_t ranks = 1);

}  // namespace attnlab
