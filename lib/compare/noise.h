// The noise certificate: how much of a score is seed, data order, problem, sampling, numerics, prompt.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "compare/grid.h"
#include "stats/intervals.h"

namespace attnlab {

// What one factor adds to a task's score, in points: the standard deviation of the score over the factor's
// levels, the same problems each time. Of `problem`: what other problems of the kind would change.
struct NoiseComponent {
  std::string task, protocol, factor;
  int64_t levels = 0, problems = 0;
  Interval sd;               // χ² interval, 95 %
  double flips = not_known;  // share of problems on which levels disagree
  double share = 0;          // of the variances of all factors of the task
};

// Reads FOLDER/FACTOR/*.h5: evaluations that differ in this factor alone, a level each (eval_model's files, or
// tasks.seed*.step*.h5 of runs; run files beside them are passed over). Of a file of eval_model --calibrate
// each way of asking is a level, scored as it asks; of a file with several replies to a problem, each reply. By
// task, and by the protocol that asks; levels that were asked other problems than the first are left out.
// `problem` follows from the first level of the largest factor. Throws InputError for a folder without
// evaluations.
std::vector<NoiseComponent> noise_components(const std::filesystem::path& folder);

Grid noise_grid(const std::vector<NoiseComponent>& components);
std::string noise_note();

}  // namespace attnlab
