// Planned claims and what the runs say of them.
#pragma once

#include <string>
#include <vector>

#include "compare/claim_plan.h"
#include "compare/verdict.h"

namespace attnlab {

// Keys of /provenance in a run's file.
inline constexpr const char* plan_text_key = "claims_plan";
inline constexpr const char* plan_hash_key = "claims_sha256";

struct PlannedResult {
  PlannedClaim claim;
  std::string experiment, sweep_point, plan_sha256;
  ClaimWord word = ClaimWord::inconclusive;
  double confidence = 0.95;
  Interval difference;              // in nats per token or points
  double p = not_known;             // two-sided, that it is 0
  double p_equivalent = not_known;  // of two one-sided tests that it lies inside ± matters
  int64_t seeds = 0, problems = 0;
  bool planned_before = false;
  std::string planned;  // "before the data", "after the data: 2 of 6 runs carry this plan"
  std::string why, needed;
};

// Judges the claims of one plan by the finished runs of its experiment. Seeds that the plan does not name are
// left out. It was planned before the data if every run that is judged carries its hash.
std::vector<PlannedResult> judge_planned(const SealedClaims& sealed, const std::vector<RunRecord>& runs);

// The plans that the runs carry, each judged; empty where they carry none.
std::vector<PlannedResult> judge_planned(const std::vector<RunRecord>& runs);

// Rows and columns; why each, and what would be needed; "" without results.
Grid planned_grid(const std::vector<PlannedResult>& results);
std::string planned_note(const std::vector<PlannedResult>& results);
std::string format_planned(const std::vector<PlannedResult>& results, TableStyle style);

}  // namespace attnlab
