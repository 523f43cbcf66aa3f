// The plan: arms × sweep points × seeds → runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "compare/planned_config.h"
#include "experiment/plan/experiment_config.h"
#include "experiment/plan/repeated_run.h"

namespace attnlab {

// What a run writes beside its file while it goes on.
enum class RunLog { tensorboard };
template <>
struct EnumNames<RunLog> {
  static constexpr std::array<std::pair<std::string_view, RunLog>, 1> rows{
      {{"tensorboard", RunLog::tensorboard}}};
};

struct PlannedRun {
  RunConfig config;
  int64_t arm_index = 0;
  std::string sweep_point;
  std::filesystem::path file;       // <results>/<arm>[/<sweep point>]/seed<k>.h5
  std::optional<size_t> selection;  // in Plan::selections: what its rate is chosen by
  bool selects = false;             // it is one of the runs that choose; in no verdict.
                                    // <results>/<arm>[/<sweep point>]/lr_selection/lr=<rate>/select<k>.h5
  bool rate_is_open = false;        // config.train.lr is not chosen yet
  std::string rate_note;            // what its rate was chosen from
};

// How the learning rate of one arm at one sweep point is chosen.
struct RateSelection {
  RateRule rule;
  std::vector<size_t> runs;  // in Plan::runs: rate by rate, in each seed by seed
};

struct Plan {
  std::string experiment;
  std::filesystem::path config_file, results;
  std::vector<std::filesystem::path> files;  // config_file and what it includes
  std::optional<RepeatedRun> repeats;        // where the config is a run's file
  std::vector<std::string> warnings;         // keys that have no effect
  std::vector<RunLog> log;
  Node root;                     // after overrides, to give errors their lines
  std::vector<PlannedRun> runs;  // those that choose rates come first
  std::vector<RateSelection> selections;
  std::optional<SealedClaims> claims;
};

struct PlanOptions {
  std::filesystem::path config;
  std::vector<std::string> overrides;  // "key=value", key dotted; arms by number or name
  std::string results;                 // empty: results/<experiment>
  std::filesystem::path claims = {};   // a claims file whose tests of this experiment are planned, too
};

// The config may be a file of YAML, or a run's: then the plan repeats that run, by default below
// results/<experiment>_repeat.
// Of the reported runs, seeds are the outermost loop and arms the innermost, so that comparisons appear early.
// Reads the config and nothing else. Throws InputError.
Plan make_plan(const PlanOptions& options);

// A path of the config: relative to the current folder or, if nothing is there, to the config's own, or to that
// of a file which it includes.
std::filesystem::path resolve_path(const Plan& plan, const std::string& path);
// The same of a file or folder that must be there. Throws InputError with `key` and the name beside it that is
// nearest.
std::filesystem::path existing_path(const Plan& plan, const std::string& path, const std::string& key);

}  // namespace attnlab
