// A folder that a reviewer can check: claims, values with tolerances, environment, methods, checklist, configs.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "compare/claims.h"
#include "report/artifact_values.h"

namespace attnlab {

struct ArtifactInput {
  std::vector<RunRecord> runs;      // all that there are, failed ones too, with those that chose learning rates
  std::vector<ClaimResult> claims;  // judged ones of a claims file; may be empty
  std::filesystem::path config_folder = "experiments";
};

// The texts of the folder by their names in it: README.md, expected.jsonl, ENVIRONMENT.md, METHODS.md,
// CHECKLIST.md, check.sh, configs/EXPERIMENT-ARM[-POINT].yaml. What the run files do not tell is said to be
// missing, for a person to fill in. Its bytes depend on the input alone.
std::vector<std::pair<std::string, std::string>> artifact_files(const ArtifactInput& input);

}  // namespace attnlab
