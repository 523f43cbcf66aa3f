// The learning-rate range test (arXiv 1506.01186): a short training in which the rate rises exponentially.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "experiment/plan/plan.h"

namespace attnlab {

constexpr int64_t range_steps = 100;
constexpr double range_lowest = 1e-6, range_highest = 1;

// The rate of step 1 … range_steps: equal factors from the lowest to the highest.
double range_rate(int64_t step);

struct RateRange {
  std::vector<double> rates, losses;  // of each step, up to the one at which the test ended
  std::vector<double> smoothed;       // means of the losses so far, with weights 0.9, 0.81, … back in time
  double lowest_at = 0;               // the rate at which the smoothed loss is lowest
  double suggestion = 0;              // a tenth of that
};

// True once the smoothed loss has risen so far above its lowest that higher rates tell nothing, or is no
// number.
bool has_blown_up(const std::vector<double>& smoothed);
// Smooths and reads off the suggestion. `losses`: at least one finite one.
RateRange read_range(const std::vector<double>& rates, const std::vector<double>& losses);

// Tests each arm at each sweep point with its first seed. Writes lr_range.csv (step, rate, loss, smoothed loss)
// into the arm's folder, and no run file; returns a table. Throws as run_plan's runs do, and Interrupted.
std::string test_rate_ranges(const Plan& plan);

}  // namespace attnlab
