#include "report/interval_drawing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/tables.h"

namespace attnlab::report {
namespace {

constexpr double width = 260, edge = 34;

Html path(const std::string& kind, const std::string& d) {
  return element("path", {{"class", kind}, {"d", d}});
}

}  // namespace

Html draw_interval(const Interval& interval, double neutral, const std::string& name) {
  if (!std::isfinite(interval.value)) return {};
  const bool ends = interval.has_ends() && std::isfinite(interval.low) && std::isfinite(interval.high);
  const double low = std::min({neutral, interval.value, ends ? interval.low : neutral});
  const double high = std::max({neutral, interval.value, ends ? interval.high : neutral});
  const double span = high > low ? high - low : 1;
  const auto at = [&](double value) { return edge + (value - low) / span * (width - 2 * edge); };
  Html out = path("grid", fmt::format("M4 22H{:.0f}", width - 4));
  out += path("neutral", fmt::format("M{0:.1f} 6V34", at(neutral)));
  if (ends)
    out += path("ends", fmt::format("M{0:.1f} 22H{1:.1f}M{0:.1f} 15V29M{1:.1f} 15V29", at(interval.low),
                                    at(interval.high)));
  out += element(
      "circle",
      {{"class", "value"}, {"cx", fmt::format("{:.1f}", at(interval.value))}, {"cy", "22"}, {"r", "5"}});
  out += element("text", {{"x", fmt::format("{:.1f}", at(neutral))}, {"y", "46"}, {"text-anchor", "middle"}},
                 text(number(neutral)));
  return element("svg",
                 {{"class", "interval"},
                  {"viewBox", fmt::format("0 0 {:.0f} 50", width)},
                  {"role", "img"},
                  {"aria-label", name}},
                 out);
}

}  // namespace attnlab::report
