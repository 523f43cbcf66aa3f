// Judged claims as text.
#pragma once

#include <string>
#include <vector>

#include "compare/claims.h"

namespace attnlab {

// A table with a line per claim and part, those that fail first; below it why, and what would be needed.
std::string format_claims(const std::vector<ClaimResult>& claims, TableStyle style);

}  // namespace attnlab
