// Claims about runs.
#pragma once

#include <vector>

#include "compare/claims.h"
#include "compare/claims_config.h"

namespace attnlab {

// The parts of a test; at least one, with verdict no_data where there is none.
std::vector<ClaimResult> judge(const RunsTest& test, const std::vector<RunRecord>& runs);
std::vector<ClaimResult> judge(const ConversionTest& test, const std::vector<RunRecord>& runs);

}  // namespace attnlab
