// The plan: arms × sweep points × seeds → runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "experiment/experiment_config.h"

namespace attnlab {

struct PlannedRun {
  RunConfig config;
  int64_t arm_index = 0;
  std::string sweep_point;
  std::filesystem::path file;  // <results>/<arm>[/<sweep point>]/seed<k>.h5
};

struct Plan {
  std::string experiment;
  std::filesystem::path config_file, results;
  Node root;  // after overrides, to give errors their lines
  std::vector<PlannedRun> runs;
};

struct PlanOptions {
  std::filesystem::path config;
  std::vector<std::string> overrides;  // "key=value", key dotted; arms by number or name
  std::string results;                 // empty: results/<experiment>
};

// Seeds are the outermost loop and arms the innermost, so that comparisons appear early. Reads the config and
// nothing else. Throws InputError.
Plan make_plan(const PlanOptions& options);

// A path of the config: relative to the current folder or, if nothing is there, to the config's own.
std::filesystem::path resolve_path(const Plan& plan, const std::string& path);

}  // namespace attnlab
