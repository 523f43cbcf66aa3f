#include "compare/curve_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compare/curve_tables.h"
#include "compare/run_differences.h"

namespace attnlab {
namespace {

constexpr double kSettled = 0.05;

PlotLine line_of(const CurveComparison& comparison, const ArmCurves& arm, const std::vector<double>& places) {
  const auto place = std::find(comparison.arms.begin(), comparison.arms.end(), arm.arm);
  const ArmCurves drawn = drawn_part(arm);
  PlotLine line{.name = fmt::format("{}, n={}", arm.arm, drawn.by_seed.size()),
                .place = static_cast<size_t>(place - comparison.arms.begin())};
  const bool common = arm.first <= arm.last;  // else each seed's own points are all there is
  for (const double x : places) {
    const double value = mean_at(drawn, x).value;
    if (std::isfinite(value) && (!common || (x >= arm.first && x <= arm.last)))
      line.points.emplace_back(x, value);
  }
  return line;
}

void set_y_range(PlotAxes& axes, const std::vector<PlotLine>& lines) {
  const double from = axes.x_low + kSettled * (axes.x_high - axes.x_low);
  double low = INFINITY, high = -INFINITY;
  for (const auto& line : lines)
    for (const auto& point : line.points) {
      if (point.first < from && &point != &line.points.back()) continue;
      low = std::min(low, point.second);
      high = std::max(high, point.second);
    }
  const double margin = high > low ? 0.03 * (high - low) : std::max(std::abs(low) * 0.05, 1e-6);
  axes.y_low = low >= 0 ? std::max(0.0, low - margin) : low - margin;
  axes.y_high = high + margin;
}

std::string list(const std::vector<std::string>& lines, const std::string& heading, TableStyle style) {
  if (lines.empty()) return "";
  std::string text = heading.empty() ? "\n" : "\n" + heading + ":\n";
  if (!heading.empty() && style == TableStyle::markdown) text += "\n";
  const char* mark = style == TableStyle::markdown ? "- " : heading.empty() ? "" : "  ";
  for (const auto& line : lines) text += mark + line + "\n";
  return text;
}

}  // namespace

std::string plot_curves(const CurveComparison& comparison, const std::string& point,
                        const TerminalStyle& style) {
  const auto places = drawing_places(comparison, point, static_cast<size_t>(4 * plot_columns(style)));
  std::vector<PlotLine> lines;
  for (const ArmCurves* arm : comparison.at_point(point)) {
    lines.push_back(line_of(comparison, *arm, places));
    if (lines.back().points.empty()) lines.pop_back();
  }
  PlotAxes axes{.x_title = axis_title(comparison.axis),
                .y_title = comparison.metric.unit,
                .x_low = places.front(),
                .x_high = places.back()};
  set_y_range(axes, lines);
  axes.x_text = [&](double x) { return axis_text(comparison.axis, x); };
  const double range = axes.y_high - axes.y_low;
  const int digits = std::clamp(2 - static_cast<int>(std::floor(std::log10(range))), 0, 6);
  axes.y_text = [digits](double y) { return fmt::format("{:.{}f}", y, digits); };
  return terminal_plot(lines, axes, style);
}

std::string format_differences(const std::vector<const RunRecord*>& runs, TableStyle style) {
  return list(config_differences(runs), "configs differ in", style) +
         list(provenance_differences(runs), "warning: revisions or machines differ in", style);
}

std::string format_comparison(const CurveComparison& comparison, TableStyle style,
                              const TerminalStyle& terminal) {
  std::string text = comparison.metric.title;
  if (comparison.window > 1) text += fmt::format(", moving mean of {} rows", comparison.window);
  text += "\n";
  const std::string fence = style == TableStyle::markdown ? "```\n" : "";
  for (const auto& point : comparison.points) {
    text += "\n" + (point.empty() ? "" : point + ":\n") + fence;
    text += plot_curves(comparison, point, terminal) + fence + "\n" + format_curves(comparison, point, style);
  }
  text +=
      "\nMean ± half of the 95 % interval over seeds (Student's t). Differences are paired by seed; *: the "
      "interval\nleaves out 0 (not corrected for the number of places). (n): so many seeds have come this far. "
      "Between rows: linear.\n";
  std::vector<std::string> warnings;
  for (const auto& warning : comparison.warnings) warnings.push_back("warning: " + warning);
  return text + list(comparison.notes, "", style) + format_differences(comparison.runs, style) +
         list(warnings, "", style);
}

}  // namespace attnlab
