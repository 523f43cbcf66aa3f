// Panels over one axis of what is kept: cached bytes per token, or what the caller says.
#pragma once

#include <string>
#include <vector>

#include "figure.h"
#include "scores.h"

namespace attnlab {

struct CachePoint {
  size_t arm = 0, point = 0;
  int64_t seeds = 0, problems = 0;
  double bytes = 0;  // on the x axis
  Interval value;
};

struct CachePanel {
  std::string measure, y_label;  // above the panel; the unit, at its axis
  std::vector<CachePoint> points;
  bool lower_is_better = false;
};

// What an arm scored at so many bytes, in the panel of that name, which is begun where there is none.
void add_score(std::vector<CachePanel>& panels, const std::string& name, const ArmScore& score, double bytes);

// A point per arm and sweep point, with its interval, at its own number of bytes; a line joins the points of an
// arm that a sweep gave several sizes, and of one sweep point arms of one variant at several sizes. Stairs show
// the best mean that is reached with at most so many bytes (Pareto front), where there are several sizes. The
// drawing has no name and no CSV yet.
Drawing draw_cache_panels(const RunSet& runs, const std::vector<CachePanel>& panels, const std::string& title,
                          const std::string& caption, const std::string& x_name = "cached bytes per token");

}  // namespace attnlab
