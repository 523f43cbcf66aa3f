#include "report/chart_drawing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace attnlab::report {
namespace {

// Of the drawing without script, in its own units; curves.js draws to the real width.
constexpr double width = 720, height = 300, left = 64, right = 22, top = 10, bottom = 40;

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  void take(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  // By a share of itself; values that are all but equal get a hundredth of their size, so that ticks differ.
  void widen(double share) {
    const double size = std::max(std::abs(low), std::abs(high)), width_now = high - low;
    const double margin = width_now > 1e-6 * size ? share * width_now : std::max(1e-9, 0.01 * size);
    low -= margin;
    high += margin;
  }
  double share(double value) const { return (value - low) / (high - low); }
};

struct Axes {
  Range x, y;
  bool one_step = false;  // all arms have one and the same: they stand side by side
  double px(double value) const { return left + x.share(value) * (width - left - right); }
  double py(double value) const { return height - bottom - y.share(value) * (height - top - bottom); }
};

Axes axes_of(const Chart& chart) {
  Axes axes;
  for (const auto& line : chart.lines)
    for (const int64_t step : line.steps) axes.x.take(static_cast<double>(step));
  const double settled = axes.x.low + chart.settled * (axes.x.high - axes.x.low);
  axes.one_step = axes.x.high == axes.x.low;
  if (axes.one_step) axes.x = {axes.x.low - 1, axes.x.low + 1};
  for (const auto& line : chart.lines)
    for (size_t i = 0; i < line.steps.size(); ++i) {
      if (static_cast<double>(line.steps[i]) < settled) continue;
      for (const auto* values : {&line.value.mean, &line.value.low, &line.value.high})
        axes.y.take((*values)[i]);
    }
  axes.y.widen(0.05);
  return axes;
}

// A line with the places of its points from the left. Where all arms have one step alone they stand side by
// side.
struct Placed {
  const CurveLine& line;
  std::vector<double> x;
};

std::vector<Placed> place(const Chart& chart, const Axes& axes) {
  std::vector<Placed> placed;
  const double middle = (static_cast<double>(chart.lines.size()) - 1) / 2;
  for (const auto& line : chart.lines) {
    const double shift = axes.one_step ? 14 * (static_cast<double>(placed.size()) - middle) : 0;
    Placed& made = placed.emplace_back(Placed{.line = line});
    for (const int64_t step : line.steps) made.x.push_back(axes.px(static_cast<double>(step)) + shift);
  }
  return placed;
}

std::string point(double x, double y) { return fmt::format("{:.1f},{:.1f} ", x, y); }

// A line of few points shows each of them.
constexpr size_t most_dots = 40;

Html dots(const Axes& axes, const Placed& placed) {
  Html out;
  if (placed.x.size() > most_dots) return out;
  for (size_t i = 0; i < placed.x.size(); ++i)
    out += element("circle", {{"class", class_of("dot", placed.line)},
                              {"cx", fmt::format("{:.1f}", placed.x[i])},
                              {"cy", fmt::format("{:.1f}", axes.py(placed.line.value.mean[i]))},
                              {"r", "3"}});
  return out;
}

Html mean_line(const Axes& axes, const Placed& placed) {
  std::string points;
  for (size_t i = 0; i < placed.x.size(); ++i) points += point(placed.x[i], axes.py(placed.line.value.mean[i]));
  return element("polyline", {{"class", class_of("line", placed.line)}, {"points", points}}) +
         dots(axes, placed);
}

// Along the upper edge and back along the lower one; of a single point a line between its ends.
Html band(const Axes& axes, const Placed& placed) {
  const Band& value = placed.line.value;
  std::string points;
  for (size_t i = 0; i < placed.x.size(); ++i)
    if (std::isfinite(value.high[i])) points += point(placed.x[i], axes.py(value.high[i]));
  for (size_t i = placed.x.size(); i-- > 0;)
    if (std::isfinite(value.low[i])) points += point(placed.x[i], axes.py(value.low[i]));
  if (points.empty()) return {};
  const bool single =
      std::count_if(value.high.begin(), value.high.end(), [](double end) { return std::isfinite(end); }) == 1;
  return element(single ? "polyline" : "polygon",
                 {{"class", class_of(single ? "whisker" : "band", placed.line)}, {"points", points}});
}

Html label(double x, double y, const std::string& anchor, const std::string& words) {
  return element("text",
                 {{"x", fmt::format("{:.1f}", x)}, {"y", fmt::format("{:.1f}", y)}, {"text-anchor", anchor}},
                 text(words));
}

Html grid_line(double x1, double y1, double x2, double y2) {
  return element("path",
                 {{"class", "grid"}, {"d", fmt::format("M{:.1f} {:.1f}L{:.1f} {:.1f}", x1, y1, x2, y2)}});
}

Html draw_axes(const Axes& axes, const Chart& chart) {
  Html out;
  for (const double value : ticks(axes.y.low, axes.y.high, 5)) {
    out += grid_line(left, axes.py(value), width - right, axes.py(value));
    out += label(left - 6, axes.py(value) + 4, "end", tick_text(value));
  }
  for (const double value : axes.one_step ? std::vector{axes.x.low + 1} : ticks(axes.x.low, axes.x.high, 7))
    out += label(axes.px(value), height - bottom + 16, "middle", tick_text(value));
  out += grid_line(left, height - bottom, width - right, height - bottom);
  out += label((left + width - right) / 2, height - 6, "middle", "steps");
  return out + element("text",
                       {{"transform", fmt::format("translate(13 {}) rotate(-90)", (height - bottom) / 2)},
                        {"text-anchor", "middle"}},
                       text(chart.y_name));
}

}  // namespace

std::vector<double> ticks(double low, double high, int wanted) {
  const double rough = (high - low) / wanted, power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0})
    if (factor * power >= rough) step = factor * power;
  std::vector<double> values;
  for (double i = std::ceil(low / step); i * step <= high; ++i) values.push_back(i * step);
  return values;
}

std::string tick_text(double value) {
  const double size = std::abs(value);
  if (size >= 1e9) return fmt::format("{:.4g}G", value / 1e9);
  if (size >= 1e6) return fmt::format("{:.4g}M", value / 1e6);
  if (size >= 1e4) return fmt::format("{:.4g}K", value / 1e3);
  return fmt::format("{:.6g}", value);
}

std::string class_of(const std::string& kind, const CurveLine& line) {
  return fmt::format("{} a{}", kind, line.look % looks);
}

Html draw_without_script(const Chart& chart) {
  const Axes axes = axes_of(chart);
  // A drawing of its own clips at its edges what lies before the losses have settled.
  const std::string inner = fmt::format("{} {} {} {}", left, top, width - left - right, height - top - bottom);
  Html curves;
  const std::vector<Placed> lines = place(chart, axes);
  for (const auto& line : lines) curves += band(axes, line);
  for (const auto& line : lines) curves += mean_line(axes, line);
  std::string arms;
  for (const auto& line : chart.lines) arms += (arms.empty() ? "" : ", ") + line.arm;
  const Attributes frame{{"x", fmt::format("{}", left)},
                         {"y", fmt::format("{}", top)},
                         {"width", fmt::format("{}", width - left - right)},
                         {"height", fmt::format("{}", height - top - bottom)},
                         {"viewBox", inner}};
  return element("svg",
                 {{"viewBox", fmt::format("0 0 {} {}", width, height)},
                  {"role", "img"},
                  {"aria-label", chart.title + ", " + chart.y_name + " by steps. Arms: " + arms}},
                 draw_axes(axes, chart) + element("svg", frame, curves));
}

}  // namespace attnlab::report
