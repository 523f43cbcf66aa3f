// A chart's drawing as the page brings it: what stands where there is no script.
#pragma once

#include <string>
#include <vector>

#include "report/charts.h"

namespace attnlab::report {

Html draw_without_script(const Chart& chart);

// The classes of a line, band, dot or whisker of this arm; report.css gives them colours and dashes.
std::string class_of(const std::string& kind, const CurveLine& line);

// Round numbers from `low` to `high`, about `wanted` of them.
std::vector<double> ticks(double low, double high, int wanted);
// A number of an axis: "0.25", "20K", "1.5M".
std::string tick_text(double value);

}  // namespace attnlab::report
