#include "report/interval_drawing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/tables.h"

namespace attnlab::report {
namespace {

constexpr double interval_width = 260, interval_height = 62, edge = 34;

double place(const IntervalScale& scale, double value) {
  const double width = scale.high - scale.low;
  return width > 0 ? edge + (value - scale.low) / width * (interval_width - 2 * edge) : interval_width / 2;
}

Html path(const std::string& kind, const std::string& d) {
  return element("path", {{"class", kind}, {"d", d}});
}

// Words near an edge stay inside.
std::string anchor_at(double x) { return x < 60 ? "start" : x > interval_width - 60 ? "end" : "middle"; }

Html draw_mark(const IntervalScale& scale, const IntervalMark& mark) {
  const double x = place(scale, mark.at);
  return path(mark.is_border ? "border" : "neutral", fmt::format("M{:.1f} 18V46", x)) +
         element("text",
                 {{"x", fmt::format("{:.1f}", x)},
                  {"y", mark.is_border ? "12" : "59"},
                  {"text-anchor", anchor_at(x)}},
                 text(mark.word));
}

Html draw_ends(const IntervalScale& scale, const Interval& interval) {
  return path("ends", fmt::format("M{0:.1f} 32H{1:.1f}M{0:.1f} 25V39M{1:.1f} 25V39", place(scale, interval.low),
                                  place(scale, interval.high)));
}

}  // namespace

void IntervalScale::take(double value) {
  if (!std::isfinite(value)) return;
  low = std::min(low, value);
  high = std::max(high, value);
}

void IntervalScale::take(const Interval& interval, const std::vector<IntervalMark>& marks) {
  for (const double value : {interval.value, interval.low, interval.high}) take(value);
  for (const auto& mark : marks) take(mark.at);
}

Html draw_interval(const Interval& interval, const std::vector<IntervalMark>& marks, const std::string& name,
                   const IntervalScale& scale) {
  if (!std::isfinite(interval.value)) return {};
  const bool ends = interval.has_ends() && std::isfinite(interval.low) && std::isfinite(interval.high);
  Html out = path("grid", fmt::format("M4 32H{:.0f}", interval_width - 4));
  for (const auto& mark : marks) out += draw_mark(scale, mark);
  if (ends) out += draw_ends(scale, interval);
  out += element("circle", {{"class", "value"},
                            {"cx", fmt::format("{:.1f}", place(scale, interval.value))},
                            {"cy", "32"},
                            {"r", "5"}});
  return element("svg",
                 {{"class", "interval"},
                  {"viewBox", fmt::format("0 0 {:.0f} {:.0f}", interval_width, interval_height)},
                  {"role", "img"},
                  {"aria-label", name}},
                 out);
}

}  // namespace attnlab::report
