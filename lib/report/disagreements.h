// Problems that some arms solve and others don't.
#pragma once

#include <string>
#include <vector>

#include "report/run_groups.h"

namespace attnlab::report {

struct ArmReply {
  std::string arm, text, extracted;
  bool correct = false;
};

// One problem, as arms of equal seed answered it.
struct Sample {
  std::string source;  // "problems of the run", or a task's label and protocol
  std::string sweep_point;
  int64_t seed = 0;
  std::string problem;            // its number or name
  std::string prompt, gold;       // "" where the file doesn't hold them
  std::vector<ArmReply> replies;  // the first arm's first
};

// How often one arm differs from the first one.
struct DisagreementCount {
  std::string source, sweep_point, arm;
  int64_t asked = 0, only_first = 0, only_arm = 0;
};

struct Disagreements {
  std::string first;  // the arm that others are compared with
  std::vector<DisagreementCount> counts;
  std::vector<Sample> samples;  // at most `most`, evenly over arms and over who is right
};

// From the last evaluation of each run, and from the evaluations of tasks beside the runs.
Disagreements find_disagreements(const Experiment& experiment, size_t most = 20);

}  // namespace attnlab::report
