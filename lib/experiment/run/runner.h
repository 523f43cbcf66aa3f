// A plan before and after it runs: what is wrong with it, and what came of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiment/plan/plan.h"

namespace attnlab {

// Everything that can be known before the first byte is written: that inputs exist and fit, that each arm can
// be made and trains something, that the device is there, that result files belong to this config, that so
// many ranks can share each step. Throws
// InputError with the config's line. Returns warnings (keys without effect, trainable parameters that differ by
// more than 5 %).
std::vector<std::string> validate_plan(const Plan& plan, int64_t ranks = 1);

// The verdict over the plan's runs that are complete.
std::string verdict_of_plan(const Plan& plan);

}  // namespace attnlab
