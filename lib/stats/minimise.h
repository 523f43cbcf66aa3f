// The lowest point of a function without derivatives.
#pragma once

#include <functional>
#include <vector>

namespace attnlab {

// Nelder and Mead's simplex (1965, The Computer Journal 7, 308-313) with their coefficients 1, 2, ½, ½, from a
// simplex that `step` opens at `start`, until its values differ by less than `tolerance` (relative) or after
// `most` evaluations. A pure function. At least one dimension.
struct Minimum {
  std::vector<double> at;
  double value = 0;
};
Minimum minimise(const std::function<double(const std::vector<double>&)>& function, std::vector<double> start,
                 double step, double tolerance = 1e-10, int most = 4000);

}  // namespace attnlab
