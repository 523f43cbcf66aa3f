// Arms compared by the problems that each got right.
#pragma once

#include <string>
#include <vector>

#include "compare/grid.h"
#include "compare/verdict.h"

namespace attnlab {

// One arm at one sweep point on one task, scored under one protocol (or, of multiple choice, by one measure).
struct TaskComparison {
  std::string task, protocol, arm, sweep_point;
  bool is_baseline = false;
  int64_t seeds = 0, problems = 0;
  Interval value;                        // share of problems that are right
  Interval difference;                   // to the baseline, over the seeds and problems that both have
  std::vector<double> seed_differences;  // the same of each of those seeds, in their order
  PairedDifference found;                // what that interval and p come from
  double p = std::numeric_limits<double>::quiet_NaN();       // two-sided, that the difference is 0
  double p_holm = std::numeric_limits<double>::quiet_NaN();  // adjusted for the arms of this task and protocol
};

// Reads the evaluations that lie beside the runs' files (run_tasks.h), after their last step; runs without one
// are left out. The baseline is the arm with that label (VerdictTable::baseline), or the first arm. Shares
// and differences as share_right and difference_in_right have them (answers.h).
std::vector<TaskComparison> compare_tasks(const std::vector<RunRecord>& runs, const std::string& baseline = "",
                                          double confidence = 0.95);

// A table; "" if there is nothing to compare.
std::string format_task_verdict(const std::vector<TaskComparison>& rows, TableStyle style);

// The same as rows and columns, and what the columns mean.
Grid task_grid(const std::vector<TaskComparison>& rows);
std::string task_verdict_note();

}  // namespace attnlab
