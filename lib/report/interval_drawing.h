// An interval as a line of SVG.
#pragma once

#include <limits>
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

// What an axis has to reach over. Drawings that stand in rows and show the same unit share one, or a wide
// interval and a narrow one would look alike.
struct IntervalScale {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
  void take(double value);
  void take(const Interval& interval, const std::vector<IntervalMark>& marks);
};

// The number as a dot, its interval as a bar with ends, and a line at each mark; "" without a number. `scale`
// has taken all of them. `name`: what a screen reader says.
Html draw_interval(const Interval& interval, const std::vector<IntervalMark>& marks, const std::string& name,
                   const IntervalScale& scale);

}  // namespace attnlab::report
