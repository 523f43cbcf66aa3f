// The tables of a verdict as rows and columns, for other pages than a terminal's.
#pragma once

#include <string>
#include <vector>

#include "compare/grid.h"
#include "compare/task_verdict.h"
#include "compare/verdict.h"

namespace attnlab {

// What arms cost and reach; their differences to the baseline (no lines: none to compare).
Grid value_grid(const VerdictTable& table);
Grid difference_grid(const VerdictTable& table);
// Arms by their tasks, and what the columns mean.
Grid task_grid(const std::vector<TaskComparison>& rows);
std::string task_verdict_note();

}  // namespace attnlab
