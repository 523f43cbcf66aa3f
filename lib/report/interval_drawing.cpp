#include "report/interval_drawing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/tables.h"

namespace attnlab::report {
namespace {

constexpr double width = 260, height = 50, edge = 34;

struct Scale {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  void take(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  double at(double value) const {
    return high > low ? edge + (value - low) / (high - low) * (width - 2 * edge) : width / 2;
  }
};

Html path(const std::string& kind, const std::string& d) {
  return element("path", {{"class", kind}, {"d", d}});
}

Html draw_mark(const Scale& scale, const IntervalMark& mark) {
  const std::string x = fmt::format("{:.1f}", scale.at(mark.at));
  return path("neutral", fmt::format("M{} 6V34", x)) +
         element("text", {{"x", x}, {"y", "46"}, {"text-anchor", "middle"}}, text(mark.word));
}

Html draw_ends(const Scale& scale, const Interval& interval) {
  return path("ends", fmt::format("M{0:.1f} 20H{1:.1f}M{0:.1f} 13V27M{1:.1f} 13V27", scale.at(interval.low),
                                  scale.at(interval.high)));
}

}  // namespace

Html draw_interval(const Interval& interval, const std::vector<IntervalMark>& marks, const std::string& name) {
  if (!std::isfinite(interval.value)) return {};
  const bool ends = interval.has_ends() && std::isfinite(interval.low) && std::isfinite(interval.high);
  Scale scale;
  scale.take(interval.value);
  for (const auto& mark : marks) scale.take(mark.at);
  if (ends) {
    scale.take(interval.low);
    scale.take(interval.high);
  }
  Html out = path("grid", fmt::format("M4 20H{:.0f}", width - 4));
  for (const auto& mark : marks) out += draw_mark(scale, mark);
  if (ends) out += draw_ends(scale, interval);
  out += element(
      "circle",
      {{"class", "value"}, {"cx", fmt::format("{:.1f}", scale.at(interval.value))}, {"cy", "20"}, {"r", "5"}});
  return element("svg",
                 {{"class", "interval"},
                  {"viewBox", fmt::format("0 0 {:.0f} {:.0f}", width, height)},
                  {"role", "img"},
                  {"aria-label", name}},
                 out);
}

}  // namespace attnlab::report
