// The curves of a comparison as a figure in files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "compare/curve_comparison.h"

namespace attnlab {

// Throws InputError unless `out` is a folder, or has no ending (a folder to be made), or ends in .png, .pdf or
// .svg; RunError if there is no gnuplot.
void check_figure_path(const std::string& out);

// Draws the comparison as paper_figs draws its curves: into a folder as PNG, PDF, SVG and CSV, one set for each
// sweep point, or into the one file. Returns the paths. Throws InputError if there are several sweep points and
// `out` is one file, RunError if drawing fails.
std::vector<std::filesystem::path> write_figure(const CurveComparison& comparison,
                                                const std::vector<RunRecord>& runs, const std::string& out);

}  // namespace attnlab
