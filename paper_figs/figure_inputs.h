// What figures are made from: the runs of each experiment, and all measurements together.
#pragma once

#include <string>
#include <vector>

#include "results/measurements.h"
#include "run_set.h"

namespace attnlab {

struct FigureInputs {
  std::vector<RunSet> experiments;  // in the order of their first run; with names where there are several
  Measurements measured;            // the rows of all files, in the order of the files
  std::vector<std::string> notes;   // what was left out, and why
};

// Reads the runs and the measurements below folders, or in single files. Throws InputError if a path holds
// neither, or if there are runs and no measurements, and no run counts (sort_runs).
FigureInputs read_figure_inputs(const std::vector<std::string>& results, bool unfinished);

// The runs of each experiment, each sorted by sort_runs. An experiment of which no run counts is left out with
// a note.
std::vector<RunSet> split_by_experiment(std::vector<RunRecord> records, bool unfinished,
                                        std::vector<std::string>& notes);

}  // namespace attnlab
