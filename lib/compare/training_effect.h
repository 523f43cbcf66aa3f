// What training did to an arm, and what a sweep says of its learning rate.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "results/run_reader.h"

namespace attnlab {

using RunsBySeed = std::map<int64_t, const RunRecord*>;

// A sentence where the runs of an arm end worse than they were at step 0 (an evaluation with eval.before): in
// held-out loss or accuracy, if the interval of the difference lies on that side, or the loss of every run
// rose.
// "" where they do not, or step 0 was not evaluated.
std::string worse_than_before(const std::string& arm, const RunsBySeed& runs, double confidence);

// The runs of an arm at one sweep point, the best one by held-out loss among them: a sentence where train.lr
// was swept and the best point has its lowest or highest value; else "".
std::string best_rate_at_edge(const std::string& arm, const std::vector<const RunRecord*>& one_per_point,
                              const RunRecord& best);

}  // namespace attnlab
