// The axes that the curves of all sweep points share.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "curves.h"

namespace attnlab {

struct CurveAxes {
  size_t arms = 0;  // most in one panel
  double first_x = INFINITY, last_x = 0;
  double cut = INFINITY;  // values above it are arrows
  Spread values{.low = INFINITY, .high = -INFINITY}, differences;
};

// Lowest to highest over all sweep points, from the share `settled` of the x axis on: the fall at the start
// would flatten all that follows. What lies below is always shown.
CurveAxes axes_of(const std::vector<std::vector<Curve>>& panels, const CurveFigure& figure);

// Whether all points stand at one x.
bool is_one_place(const CurveAxes& axes);

// Whether curves and ends lie on the axes as a whole.
bool shows_all(const std::vector<Curve>& panel, const CurveAxes& axes);

// Where a point stands: at its own x. Where all stand at one, arms share the width of the picture, side by
// side: `place` is how many arms to the right of the middle this one is.
double shifted(double x, double place, const CurveFigure& figure, const CurveAxes& axes);

// Gnuplot commands: the x axis' range; its name and tics.
std::string x_range(const CurveFigure& figure, const CurveAxes& axes);
std::string x_axis(const std::vector<Curve>& panel, const CurveFigure& figure, const CurveAxes& axes);

}  // namespace attnlab
