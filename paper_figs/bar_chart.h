// Bars of percentages, one per arm, in groups.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "figure.h"

namespace attnlab {

struct Bar {
  size_t arm = 0, group = 0;
  Interval after;                                            // percent; ends may be NaN
  double before = std::numeric_limits<double>::quiet_NaN();  // a dashed line; NaN: none
};

struct BarChart {
  std::vector<std::string> arms;    // names in the key, by place
  std::vector<std::string> groups;  // names below the groups, in lines; {""}: one group
  std::string axis;                 // below them
  double axis_in = 0.12;            // height of both
  std::vector<Bar> bars;
  bool own_scales = false;  // groups whose values lie far apart have axes of their own, one below the other
};

// `chart` has at least one bar. The drawing has no CSV yet.
Drawing draw_bars(const BarChart& chart, const std::string& name, const std::string& title,
                  const std::string& caption);

}  // namespace attnlab
