// An interval as a line of SVG.
#pragma once

#include <string>
#include <vector>

#include "report/html.h"
#include "stats/intervals.h"

namespace attnlab::report {

// A number of the axis with a word: below the axis, or above it where a claim has its border.
struct IntervalMark {
  double at = 0;
  std::string word;
  bool is_border = false;
};

// The number as a dot, its interval as a bar with ends, and a line at each mark; "" without a number.
// `name`: what a screen reader says.
Html draw_interval(const Interval& interval, const std::vector<IntervalMark>& marks, const std::string& name);

}  // namespace attnlab::report
