#include "curve_axes.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "style.h"

namespace attnlab {
namespace {

// Where all points have one x they stand side by side; that axis then has no tics.
bool stand_apart(const CurveFigure& figure, const CurveAxes& axes) {
  return figure.ends == Ends::bars && is_one_place(axes);
}

bool is_within(const Spread& value, const Spread& range) {
  const double room = 0.05 * (range.high - range.low);  // as style::y_axis leaves
  return !(value.mean < range.low - room || value.low < range.low - room || value.mean > range.high + room ||
           value.high > range.high + room);
}

void widen(Spread& range, const Spread& value) {
  // A bare value has ends that are NaN, which compare as false and leave the range as it is.
  range.low = std::min({range.low, value.mean, std::isnan(value.low) ? value.mean : value.low});
  range.high = std::max({range.high, value.mean, std::isnan(value.high) ? value.mean : value.high});
}

// "3e-4" for 0.0003.
std::string short_number(double value) {
  const int exponent = static_cast<int>(std::floor(std::log10(value) + 1e-9));
  return fmt::format("{:.3g}e{}", value / std::pow(10, exponent), exponent);
}

// The worst of the arms' lowest values.
double worst_lowest(const std::vector<std::vector<Curve>>& panels) {
  double worst = -INFINITY;
  for (const auto& panel : panels)
    for (const auto& curve : panel) {
      double lowest = INFINITY;
      for (const auto& point : curve.points) lowest = std::min(lowest, point.value.mean);
      worst = std::max(worst, lowest);
    }
  return worst;
}

}  // namespace

CurveAxes axes_of(const std::vector<std::vector<Curve>>& panels, const CurveFigure& figure) {
  CurveAxes axes;
  for (const auto& panel : panels) {
    axes.arms = std::max(axes.arms, panel.size());
    for (const auto& curve : panel) {
      axes.first_x = std::min(axes.first_x, curve.points.front().x);
      axes.last_x = std::max(axes.last_x, curve.points.back().x);
    }
  }
  const double from = figure.settled * axes.last_x;
  for (const auto& panel : panels)
    for (const auto& curve : panel)
      for (const auto& point : curve.points) {
        if (point.x < from && &point != &curve.points.back()) continue;
        widen(axes.values, point.value);
        if (point.difference) widen(axes.differences, *point.difference);
      }
  if (const double worst = worst_lowest(panels); figure.cut && axes.values.high > 1.5 * worst)
    axes.values.high = axes.cut = 1.25 * worst;
  return axes;
}

bool is_one_place(const CurveAxes& axes) { return axes.first_x == axes.last_x; }

double shifted(double x, double place, const CurveFigure& figure, const CurveAxes& axes) {
  if (!stand_apart(figure, axes)) return x / figure.x_unit;
  return 0.5 + 0.85 / static_cast<double>(axes.arms) * place;
}

bool shows_all(const std::vector<Curve>& panel, const CurveAxes& axes) {
  for (const auto& curve : panel)
    for (const auto& point : curve.points)
      if (!is_within(point.value, axes.values) ||
          (point.difference && !is_within(*point.difference, axes.differences)))
        return false;
  return true;
}

std::string x_range(const CurveFigure& figure, const CurveAxes& axes) {
  const double unit = figure.x_unit;
  if (stand_apart(figure, axes)) return "set xrange [0:1]\nset xtics ('' 0.5)\n";
  const double room = figure.ends == Ends::bars ? 0.025 : 0;
  if (!figure.log_x)
    return fmt::format("set xrange [{}:{}]\n", -room * axes.last_x / unit, (1 + room) * axes.last_x / unit);
  const double factor = std::pow(axes.last_x / axes.first_x, 2 * room);
  return fmt::format("set logscale x\nset xrange [{}:{}]\n", axes.first_x / factor / unit,
                     axes.last_x * factor / unit);
}

std::string x_axis(const std::vector<Curve>& panel, const CurveFigure& figure, const CurveAxes& axes) {
  if (stand_apart(figure, axes))
    return style::x_name(
        fmt::format("at {} {:g}", style::label_of(figure.x_label), axes.last_x / figure.x_unit));
  std::string out = style::x_name(figure.x_label);
  if (!figure.log_x) return out;
  std::set<double> places;
  for (const auto& curve : panel)
    for (const auto& point : curve.points) places.insert(point.x);
  std::vector<std::string> tics;
  const double width = std::log(*places.rbegin() / *places.begin());
  double last = 0;
  for (const double x : places) {  // a label that would touch the one before is left out
    const bool fits = last == 0 || std::log(x / last) > 0.12 * width;
    tics.push_back(fmt::format("'{}' {}", fits ? short_number(x) : "", x / figure.x_unit));
    if (fits) last = x;
  }
  return out + fmt::format("set xtics ({})\n", fmt::join(tics, ", "));
}

}  // namespace attnlab
