// What a plan can show of its claims, what it costs, and which controls it lacks.
#pragma once

#include <string>
#include <vector>

#include "experiment/run/dry_run.h"

namespace attnlab {

struct MissingControl {
  Control control = Control::untrained_base;
  std::string why, how;  // how to add it
};
std::vector<MissingControl> missing_controls(const Plan& plan, const std::vector<RunCost>& costs);

// "" for a plan without claims. Reads claims.earlier. Throws InputError.
std::string describe_claims(const Plan& plan, const std::vector<RunCost>& costs);

}  // namespace attnlab
