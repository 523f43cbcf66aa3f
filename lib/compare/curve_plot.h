// A comparison of curves as text: a drawing for the terminal, tables, and what the runs differ in.
#pragma once

#include <string>

#include "compare/curve_comparison.h"
#include "compare/terminal_plot.h"

namespace attnlab {

// The means over seeds at one sweep point. The y axis need not show what lies before a twentieth of the x axis,
// where training losses fall from afar.
std::string plot_curves(const CurveComparison& comparison, const std::string& point,
                        const TerminalStyle& style);

// For each sweep point the drawing and the tables; then the notes, what else the runs differ in, and warnings.
std::string format_comparison(const CurveComparison& comparison, TableStyle style,
                              const TerminalStyle& terminal);
// "configs differ in" and "revisions or machines differ in", with their lines; "" if they don't.
std::string format_differences(const std::vector<const RunRecord*>& runs, TableStyle style);

}  // namespace attnlab
