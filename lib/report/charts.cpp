#include "report/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "report/tables.h"

namespace attnlab::report {
namespace {

using nlohmann::json;

// Of the drawing without script, in its own units; curves.js draws to the real width.
constexpr double width = 720, height = 300, left = 64, right = 22, top = 10, bottom = 40;

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  void take(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  void widen(double share) {
    const double margin = high > low ? share * (high - low) : std::max(1e-9, 0.01 * std::abs(low));
    low -= margin;
    high += margin;
  }
  double share(double value) const { return (value - low) / (high - low); }
};

struct Axes {
  Range x, y;
  double px(double value) const { return left + x.share(value) * (width - left - right); }
  double py(double value) const { return height - bottom - y.share(value) * (height - top - bottom); }
};

Axes axes_of(const Chart& chart) {
  Axes axes;
  for (const auto& line : chart.lines)
    for (const int64_t step : line.steps) axes.x.take(static_cast<double>(step));
  const double settled = axes.x.low + chart.settled * (axes.x.high - axes.x.low);
  if (!(axes.x.high > axes.x.low)) axes.x = {axes.x.low - 1, axes.x.low + 1};
  for (const auto& line : chart.lines)
    for (size_t i = 0; i < line.steps.size(); ++i) {
      if (static_cast<double>(line.steps[i]) < settled) continue;
      for (const auto* values : {&line.value.mean, &line.value.low, &line.value.high})
        axes.y.take((*values)[i]);
    }
  axes.y.widen(0.05);
  return axes;
}

std::string class_of(const std::string& kind, const CurveLine& line) {
  return fmt::format("{} a{}", kind, line.look % 7);
}

std::string point(const Axes& axes, int64_t step, double value) {
  return fmt::format("{:.1f},{:.1f} ", axes.px(static_cast<double>(step)), axes.py(value));
}

// A line of few points shows each of them, and one that is a single point its ends.
constexpr size_t most_dots = 40;

Html dots(const Axes& axes, const CurveLine& line) {
  Html out;
  if (line.steps.size() > most_dots) return out;
  for (size_t i = 0; i < line.steps.size(); ++i)
    out += element("circle", {{"class", class_of("dot", line)},
                              {"cx", fmt::format("{:.1f}", axes.px(static_cast<double>(line.steps[i])))},
                              {"cy", fmt::format("{:.1f}", axes.py(line.value.mean[i]))},
                              {"r", "3"}});
  return out;
}

Html mean_line(const Axes& axes, const CurveLine& line) {
  std::string points;
  for (size_t i = 0; i < line.steps.size(); ++i) points += point(axes, line.steps[i], line.value.mean[i]);
  return element("polyline", {{"class", class_of("line", line)}, {"points", points}}) + dots(axes, line);
}

Html band(const Axes& axes, const CurveLine& line) {
  std::string points;
  for (size_t i = 0; i < line.steps.size(); ++i)
    if (std::isfinite(line.value.high[i])) points += point(axes, line.steps[i], line.value.high[i]);
  for (size_t i = line.steps.size(); i-- > 0;)
    if (std::isfinite(line.value.low[i])) points += point(axes, line.steps[i], line.value.low[i]);
  if (points.empty()) return {};
  if (line.steps.size() > 1) return element("polygon", {{"class", class_of("band", line)}, {"points", points}});
  return element("polyline", {{"class", class_of("whisker", line)}, {"points", points}});
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
  for (const double value : ticks(axes.x.low, axes.x.high, 7))
    out += label(axes.px(value), height - bottom + 16, "middle", tick_text(value));
  out += grid_line(left, height - bottom, width - right, height - bottom);
  out += label((left + width - right) / 2, height - 6, "middle", "steps");
  return out + element("text",
                       {{"transform", fmt::format("translate(13 {}) rotate(-90)", (height - bottom) / 2)},
                        {"text-anchor", "middle"}},
                       text(chart.y_name));
}

Html static_svg(const Chart& chart) {
  const Axes axes = axes_of(chart);
  // A drawing of its own clips at its edges what lies before the losses have settled.
  const std::string inner = fmt::format("{} {} {} {}", left, top, width - left - right, height - top - bottom);
  Html curves;
  for (const auto& line : chart.lines) curves += band(axes, line);
  for (const auto& line : chart.lines) curves += mean_line(axes, line);
  std::string arms;
  for (const auto& line : chart.lines) arms += (arms.empty() ? "" : ", ") + line.arm;
  const Attributes place{{"x", fmt::format("{}", left)},
                         {"y", fmt::format("{}", top)},
                         {"width", fmt::format("{}", width - left - right)},
                         {"height", fmt::format("{}", height - top - bottom)},
                         {"viewBox", inner}};
  return element("svg",
                 {{"viewBox", fmt::format("0 0 {} {}", width, height)},
                  {"role", "img"},
                  {"aria-label", chart.title + ", " + chart.y_name + " by steps. Arms: " + arms}},
                 draw_axes(axes, chart) + element("svg", place, curves));
}

Html legend(const Chart& chart) {
  Html rows;
  for (const auto& line : chart.lines) {
    const Html swatch = element("svg", {{"class", "swatch"}, {"viewBox", "0 0 34 10"}, {"aria-hidden", "true"}},
                                element("path", {{"class", class_of("line", line)}, {"d", "M1 5H33"}}));
    rows +=
        element("li", swatch + text(" " + line.arm + " ") + element("small", text(count(line.seeds, "seed"))));
  }
  return element("ul", {{"class", "legend"}}, rows);
}

// Six significant digits: a thousandth of what the eye sees on a screen.
json rounded(const std::vector<double>& values) {
  json out = json::array();
  for (const double value : values)
    out.push_back(std::isfinite(value) ? json(std::stod(fmt::format("{:.6g}", value))) : json(nullptr));
  return out;
}

json as_json(const Band& band) {
  return {{"mean", rounded(band.mean)}, {"low", rounded(band.low)}, {"high", rounded(band.high)}};
}

json as_json(const Chart& chart) {
  json lines = json::array();
  for (const auto& line : chart.lines) {
    json made{{"arm", line.arm},
              {"look", line.look % 7},
              {"steps", line.steps},
              {"tokens", rounded(line.tokens)},
              {"value", as_json(line.value)}};
    if (!line.difference.mean.empty()) made["difference"] = as_json(line.difference);
    lines.push_back(std::move(made));
  }
  return {{"y", chart.y_name}, {"first", chart.first}, {"settled", chart.settled}, {"lines", std::move(lines)}};
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

Html draw(const Chart& chart) {
  const Html caption = element("figcaption", element("strong", text(chart.title)) + text(". " + chart.note));
  return element("figure", {{"class", "chart"}},
                 caption + element("div", {{"class", "plot"}}, static_svg(chart)) + legend(chart) +
                     json_block(as_json(chart))) +
         Html::trusted("\n");
}

}  // namespace attnlab::report
