// Keys of a plan that are given and have no effect.
#pragma once

#include <string>
#include <vector>

#include "experiment/plan/plan.h"

namespace attnlab {

// A line for each key that has another value than its default in some runs, and an effect in none of them, with
// the reason. Throws InputError where the key names files: what is meant is then another thing than what would
// be done.
std::vector<std::string> idle_keys(const Plan& plan);

}  // namespace attnlab
