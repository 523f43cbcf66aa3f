// The numbers of the page's charts: per arm a mean over seeds with its band, and the same of the difference to
// the first arm on equal seeds.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "report/run_groups.h"

namespace attnlab::report {

struct Band {
  std::vector<double> mean, low, high;  // low and high NaN where one seed gives no band
};

struct CurveLine {
  std::string arm;
  size_t look = 0;
  int64_t seeds = 0;
  std::vector<int64_t> steps;  // that all seeds have, at most most_points
  std::vector<double> tokens;  // trained until then, mean over seeds
  Band value;                  // at each step
  Band difference;             // empty: of the first arm, or no seed in common
};
inline constexpr size_t most_points = 400;

using SeedCurves = std::map<int64_t, std::map<int64_t, double>>;  // seed → step → value

// An odd number of rows, about a fortieth of all, over which training losses are averaged.
size_t smoothing_window(const PointRuns& point);
// Arms without values are left out. Bands: lowest and highest seed.
std::vector<CurveLine> training_curves(const PointRuns& point, size_t window);
// Bands: 95 % interval over seeds (Student's t).
std::vector<CurveLine> heldout_curves(const PointRuns& point);

// `count` places of 0 … size - 1, evenly spread, first and last among them; all if there are no more.
std::vector<size_t> spread_places(size_t size, size_t count);

}  // namespace attnlab::report
