// Runs, sorted into what the page shows side by side.
#pragma once

#include <string>
#include <vector>

#include "results/run_reader.h"

namespace attnlab::report {

// One arm at one sweep point.
struct ArmRuns {
  std::string arm;
  size_t look = 0;                     // place of the arm in the experiment: its colour and dash
  std::vector<const RunRecord*> runs;  // by seed
};

struct PointRuns {
  std::string sweep_point;  // "" without a sweep
  std::vector<ArmRuns> arms;
};

struct Experiment {
  std::string name;
  std::vector<RunRecord> runs;    // all, as given
  std::vector<std::string> arms;  // in the config's order
  // Of the finished runs; where there is none, of all. Of runs with equal arm, point and seed the first counts.
  std::vector<PointRuns> points;
  bool unfinished = false;  // points hold unfinished runs

  Experiment() = default;
  Experiment(Experiment&&) = default;  // points refer to runs: movable, not copyable
  Experiment& operator=(Experiment&&) = default;
};

// By experiment, in the order of the runs; a file that is given twice counts once.
std::vector<Experiment> group_runs(std::vector<RunRecord> runs);

// "quickstart" or "quickstart, train.lr=0.001".
std::string title_of(const Experiment& experiment, const PointRuns& point);

}  // namespace attnlab::report
