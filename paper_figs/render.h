// Pictures from drawings, by gnuplot.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "figure.h"

namespace attnlab {

// Throws RunError naming the package if there is no gnuplot on the PATH.
void require_gnuplot();

// Writes NAME.png, .pdf, .svg and .csv into `folder` (made if needed), each whole or not at all; equal
// drawings give equal bytes. Returns the paths. Throws RunError if gnuplot fails or a file cannot be written.
std::vector<std::filesystem::path> render(const Drawing& drawing, const std::filesystem::path& folder);

}  // namespace attnlab
