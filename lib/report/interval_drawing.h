// An interval as a line of SVG.
#pragma once

#include <string>

#include "report/html.h"
#include "stats/intervals.h"

namespace attnlab::report {

// The number as a dot, its interval as a bar with ends, a mark at `neutral` (no difference). `name`: what a
// screen reader says.
Html draw_interval(const Interval& interval, double neutral, const std::string& name);

}  // namespace attnlab::report
