// Runs as tidy tables: one row per observation, and in each the run that it is of.
#pragma once

#include <string>
#include <vector>

#include "results/run_reader.h"

namespace attnlab {

struct TidyTable {
  std::string name;  // of the file, without ".csv"
  std::string csv;
};

// runs: a row per run: its header, state, and config.*, provenance.*, conversion.* of all runs (empty where a
// run lacks the key). train, evaluations: the rows of the run files under their names there. tasks: the scores
// of the evaluations beside the runs. All begin with experiment, arm, sweep_point, seed. Floating-point numbers
// read back exactly; those that are not finite are "nan", "inf", "-inf".
std::vector<TidyTable> tidy_tables(const std::vector<RunRecord>& runs);

// Name and columns of each table, for help texts.
std::string describe_tidy_tables();

}  // namespace attnlab
