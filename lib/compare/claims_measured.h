// Claims about measurements without training.
#pragma once

#include <vector>

#include "compare/claims.h"
#include "compare/claims_config.h"

namespace attnlab {

// The parts of a test; at least one, with verdict no_data where there is none.
std::vector<ClaimResult> judge(const MeasuredTest& test, const std::vector<Measurements>& measured);

}  // namespace attnlab
