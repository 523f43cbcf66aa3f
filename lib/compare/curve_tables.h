// Curves as tables, and the places at which tables and drawings show them.
#pragma once

#include <string>
#include <vector>

#include "compare/curve_comparison.h"

namespace attnlab {

// Places for a table: the points themselves if there are few, else ten at equal distances and where the first
// arm ends. Up to where the longest arm's runs all are.
std::vector<double> table_places(const CurveComparison& comparison, const std::string& point);
// Places for a drawing: the points themselves, or `most` at equal distances.
std::vector<double> drawing_places(const CurveComparison& comparison, const std::string& point, size_t most);

// The tables of values and of differences of one sweep point.
std::string format_curves(const CurveComparison& comparison, const std::string& point, TableStyle style);

}  // namespace attnlab
