// Runs, sorted into the cells that figures are made of.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/csv.h"
#include "results/run_reader.h"
#include "stats/intervals.h"

namespace attnlab {

// The runs of one arm at one sweep point, one per seed, by seed.
struct RunCell {
  size_t arm = 0, point = 0;  // places in RunSet's lists
  std::vector<const RunRecord*> runs;
};

struct RunSet {
  std::vector<RunRecord> records;
  std::vector<std::string> arms;  // in the config's order; "experiment/arm" where there are several experiments
  std::vector<std::string> points;  // sweep points, ascending by the numbers in them; {""} without a sweep
  std::vector<RunCell> cells;       // by sweep point, then by arm
  std::vector<std::string> notes;   // runs that were left out, and why
  // Where several experiments are drawn apart: this one's name for titles, and for files with a '-' behind it.
  std::string experiment, file_prefix;

  RunSet() = default;
  RunSet(RunSet&&) = default;  // cells point into records: movable, not copyable
  std::vector<const RunCell*> cells_at(size_t point) const;
};

// Takes the finished runs, or with `unfinished` all. Of runs with equal arm, sweep point and seed the first
// counts. Throws InputError if nothing is left.
RunSet sort_runs(std::vector<RunRecord> records, bool unfinished);

// Mean over seeds, and the lowest and highest.
struct Spread {
  double mean = 0, low = 0, high = 0;
};
Spread spread_of(const std::vector<double>& values);

// "n = 3 seeds", "n = 2 to 3 seeds". `counts` are not empty.
std::string count_seeds(const std::vector<size_t>& counts);
std::string count_seeds(const std::vector<const RunCell*>& cells);

// Steps that all runs of a cell have, ascending; `list` gives a run's steps, ascending.
std::vector<int64_t> common_steps(const RunCell& cell,
                                  const std::function<std::vector<int64_t>(const RunRecord&)>& list);

// All but letters, digits, '.' and '-' replaced by '_'.
std::string plain_name(std::string text);

// "NAME" or, with a sweep, "NAME-POINT" in plain letters; behind the experiment's prefix, if it has one.
std::string file_name(const std::string& name, const RunSet& runs, size_t point);
// The same for a drawing of all sweep points.
std::string file_name(const std::string& name, const RunSet& runs);
// "TITLE", "TITLE, EXPERIMENT", "TITLE, POINT" or "TITLE, EXPERIMENT, POINT".
std::string title_of(const std::string& title, const RunSet& runs, const std::string& point = "");

}  // namespace attnlab
