// A verdict's tables: as text, and as rows and columns for other pages than a terminal's.
#pragma once

#include <string>

#include "compare/grid.h"
#include "compare/verdict.h"

namespace attnlab {

// The tables of values and of differences, then the warnings.
std::string format_verdict(const VerdictTable& table, TableStyle style);

// What arms cost and reach; their differences to the baseline (no lines: none to compare).
Grid value_grid(const VerdictTable& table);
Grid difference_grid(const VerdictTable& table);

// What the numbers of these two are, in sentences.
std::string value_note(const VerdictTable& table);
std::string difference_note(const VerdictTable& table);

}  // namespace attnlab
