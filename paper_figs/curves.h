// Curves, over steps or whatever else grows: one per arm, summed up over seeds, with each arm's difference to
// the first arm on the same seed. Arms see the same tokens in the same order, so what seeds and data add
// cancels in the difference.
#pragma once

#include <map>
#include <optional>

#include "figure.h"

namespace attnlab {

using SeedCurves = std::map<int64_t, std::map<double, double>>;  // seed → x → value

struct CurvePoint {
  double x = 0;
  Spread value;
  std::optional<Spread> difference = {};
  bool marked = false;  // drawn larger
};

struct Curve {
  size_t arm = 0, seeds = 0;
  std::vector<CurvePoint> points;  // at the places that all seeds have
};

enum class Ends { band, bars };

// What a figure of curves says beside them.
struct CurveFigure {
  std::string name, title, y_label;
  std::string measure;  // short, for the axis of differences
  std::string summary;  // what line and ends are, where there are several seeds
  std::string note;     // how values were made; may be empty
  Ends ends = Ends::band;
  double settled = 0;  // axes need not show what lies before this share of the x axis; the caption says so
  bool differences = true;
  std::string x_label = "step", x_column = "step";  // on the axis, and in the CSV
  double x_unit = 1;                                // the axis shows x over this
  bool log_x = false;                               // with a tic at each x that has a point
  // The y axis ends a quarter above the worst of the arms' lowest values if some value is half above it. Arrows
  // stand for points that are higher.
  bool cut = false;
  std::string mark = "";  // what a larger point means
};

using Summary = Spread (*)(const std::vector<double>& over_seeds);

// The curves of one sweep point; values[i] belong to the cells[i]. The seeds of an arm share their x. Arms
// without values are left out.
std::vector<Curve> make_curves(const std::vector<const RunCell*>& cells, const std::vector<SeedCurves>& values,
                               Summary summary);

// One drawing per sweep point that has curves; all share their axes. curves[p] belong to runs.points[p].
std::vector<Drawing> draw_curves(const RunSet& runs, const std::vector<std::vector<Curve>>& curves,
                                 const CurveFigure& figure);

}  // namespace attnlab
