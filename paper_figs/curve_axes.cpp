#include "curve_axes.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "style.h"

namespace attnlab {
namespace {

// Shares of the x axis.
double shift_per_arm(const CurveAxes& axes) {
  return is_one_place(axes) ? 0.6 / static_cast<double>(axes.arms) : 0.012;
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
  const double shift = figure.ends == Ends::bars ? shift_per_arm(axes) * place : 0;
  if (figure.log_x) return x * std::pow(axes.last_x / axes.first_x, shift) / figure.x_unit;
  return (x + shift * axes.last_x) / figure.x_unit;
}

std::string x_range(const CurveFigure& figure, const CurveAxes& axes) {
  const double unit = figure.x_unit, shifts = shift_per_arm(axes) * static_cast<double>(axes.arms) / 2;
  if (is_one_place(axes) && figure.ends == Ends::bars && !figure.log_x)
    return fmt::format("set xrange [{}:{}]\nset xtics ({})\n", 0.65 * axes.last_x / unit,
                       1.35 * axes.last_x / unit, axes.last_x / unit);
  const double room = figure.ends == Ends::bars ? 0.015 + shifts : 0;
  if (!figure.log_x)
    return fmt::format("set xrange [{}:{}]\n", -room * axes.last_x / unit, (1 + room) * axes.last_x / unit);
  const double factor = std::pow(axes.last_x / axes.first_x, 2 * room);
  return fmt::format("set logscale x\nset xrange [{}:{}]\n", axes.first_x / factor / unit,
                     axes.last_x * factor / unit);
}

std::string x_axis(const std::vector<Curve>& panel, const CurveFigure& figure) {
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
