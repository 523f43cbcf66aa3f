// What runs solve: the answers to problems of their own data, and tasks whose evaluations lie beside them.
#pragma once

#include <string>
#include <vector>

#include "run_set.h"

namespace attnlab {

// One arm at one sweep point on one task.
struct ArmScore {
  std::string task, protocol;  // answers: the kind of the data, and ""
  size_t arm = 0, point = 0;   // places in RunSet's lists
  int64_t seeds = 0, problems = 0;
  Interval value;       // percent
  Interval difference;  // points, to the first arm on the same seeds and problems; NaN: of the first arm
};

// Answers first, then tasks; by sweep point, then by arm. Intervals are over seeds and problems, of one
// seed over problems alone (of answers its difference has none).
std::vector<ArmScore> scores_of(const RunSet& runs);

// "TASK", or "TASK, PROTOCOL" where the task was scored under several; answers beside a task of their name are
// "TASK, answers".
std::string score_name(const ArmScore& score, const std::vector<ArmScore>& all);

// What pictures show: of each task the protocol that comes first, which is the one that asks; and answers.
std::vector<ArmScore> first_protocols(const std::vector<ArmScore>& all);
// "of several protocols PROTOCOL", "first protocol of each task", or nothing where no protocol was left out.
std::string protocol_note(const std::vector<ArmScore>& all);

}  // namespace attnlab
