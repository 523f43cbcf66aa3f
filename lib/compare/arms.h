// The arms that runs are of, in the order of tables and figures.
#pragma once

#include <string>
#include <vector>

#include "results/run_reader.h"

namespace attnlab {

struct ArmName {
  std::string label;  // "experiment/arm" where several experiments are compared, else the arm's name
  std::string name;
  bool operator==(const ArmName&) const = default;
};

bool several_experiments(const std::vector<RunRecord>& runs);
std::string arm_label(const RunHeader& header, bool several);

// Each arm once: experiments in the order of `runs`, then arms in their config's order.
std::vector<ArmName> arms_of(const std::vector<RunRecord>& runs);

// The label of the arm that is called `wanted`, or of the first arm (""). Throws InputError if there is none.
std::string find_baseline(const std::vector<ArmName>& arms, const std::string& wanted);

// "running, step 89 of 100", "failed after step 12: MESSAGE"; "" for a complete run.
std::string unfinished_note(const RunRecord& run);

}  // namespace attnlab
