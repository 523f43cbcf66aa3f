#include "cache_panels.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "style.h"

namespace attnlab {
namespace {

// The x axis that all panels share.
struct CacheAxis {
  double low = 0, high = 0;
  bool log = false;
  std::map<double, std::vector<size_t>> arms;  // by place: who stands there

  double share(double bytes) const {
    return log ? std::log(bytes / low) / std::log(high / low) : (bytes - low) / (high - low);
  }
  double at(double share) const { return log ? low * std::pow(high / low, share) : low + share * (high - low); }
  // Arms at one place stand side by side.
  double x_of(const CachePoint& point) const {
    const std::vector<size_t>& here = arms.at(point.bytes);
    const auto rank = std::find(here.begin(), here.end(), point.arm) - here.begin();
    return at(share(point.bytes) +
              0.028 * (static_cast<double>(rank) - static_cast<double>(here.size() - 1) / 2));
  }
};

CacheAxis axis_of(const std::vector<CachePanel>& panels) {
  std::map<double, std::set<size_t>> arms;
  for (const CachePanel& panel : panels)
    for (const CachePoint& point : panel.points) arms[point.bytes].insert(point.arm);
  const double least = arms.begin()->first, most = arms.rbegin()->first;
  CacheAxis axis{.log = least > 0 && most > 4 * least};
  const double room = axis.log ? std::pow(most / least, 0.12) : 1.12;
  axis.low = axis.log ? least / room : 0;
  axis.high = most * room;
  for (const auto& [bytes, here] : arms) axis.arms[bytes] = {here.begin(), here.end()};
  return axis;
}

// A tic at each size, if its label does not touch the one before.
std::string x_tics(const CacheAxis& axis, bool labels) {
  std::vector<std::string> tics;
  double last = -1;
  for (const auto& [bytes, arms] : axis.arms) {
    const bool fits = labels && axis.share(bytes) - last > 0.13;
    tics.push_back(fmt::format("'{}' {}", fits ? fmt::format("{:.0f}", bytes) : "", bytes));
    if (fits) last = axis.share(bytes);
  }
  return fmt::format("set xtics ({})\n", fmt::join(tics, ", "));
}

// A line joins the points of an arm which a sweep gave several sizes, one point each.
bool is_joined(const CachePanel& panel, size_t arm) {
  std::set<double> sizes;
  size_t points = 0;
  for (const CachePoint& point : panel.points) {
    if (point.arm != arm) continue;
    sizes.insert(point.bytes);
    ++points;
  }
  return points > 1 && sizes.size() == points;
}

std::vector<CachePoint> points_of(const CachePanel& panel, size_t arm) {
  std::vector<CachePoint> points;
  for (const CachePoint& point : panel.points)
    if (point.arm == arm) points.push_back(point);
  std::stable_sort(points.begin(), points.end(),
                   [](const CachePoint& a, const CachePoint& b) { return a.bytes < b.bytes; });
  return points;
}

std::string data_blocks(const RunSet& runs, const CachePanel& panel, const CacheAxis& axis) {
  std::string out;
  for (size_t arm = 0; arm < runs.arms.size(); ++arm) {
    std::string values, ends;
    for (const CachePoint& point : points_of(panel, arm)) {
      const Interval& value = point.shown;
      values += fmt::format("{} {}\n", axis.x_of(point), value.value);
      if (value.has_ends()) ends += fmt::format("{} {} {}\n", axis.x_of(point), value.low, value.high);
    }
    out += fmt::format("$value{0} << EOD\n{1}EOD\n$ends{0} << EOD\n{2}EOD\n", arm, values, ends);
  }
  return out;
}

std::string plot_command(const RunSet& runs, const CachePanel& panel, bool titles) {
  std::vector<std::string> parts;
  for (size_t arm = 0; arm < runs.arms.size(); ++arm) {
    const std::vector<CachePoint> points = points_of(panel, arm);
    if (std::any_of(points.begin(), points.end(), [](const CachePoint& p) { return p.value.has_ends(); }))
      parts.push_back(fmt::format("$ends{} using 1:2:(0):($3-$2) notitle {}", arm, style::bar(arm)));
  }
  for (size_t arm = 0; arm < runs.arms.size(); ++arm) {
    if (points_of(panel, arm).empty()) continue;
    const bool joined = is_joined(panel, arm);
    parts.push_back(fmt::format(
        "$value{} using 1:2 {} with {}", arm, titles ? "title " + style::quoted(runs.arms[arm]) : "notitle",
        joined ? "linespoints " + style::line_and_point(arm) : "points " + style::mark(arm)));
  }
  return fmt::format("plot {}\n", fmt::join(parts, ", "));
}

std::string y_axis(const CachePanel& panel, double middle) {
  double low = INFINITY, high = -INFINITY;
  for (const CachePoint& point : panel.points) {
    const bool ends = point.shown.has_ends();
    low = std::min({low, point.shown.value, ends ? point.shown.low : INFINITY});
    high = std::max({high, point.shown.value, ends ? point.shown.high : -INFINITY});
  }
  return style::y_axis(3, panel.y_label, middle, low, high, 5);
}

}  // namespace

Drawing draw_cache_panels(const RunSet& runs, const std::vector<CachePanel>& panels, const std::string& title,
                          const std::string& caption) {
  Drawing drawing;
  const double panel_in = 1.0, name_in = 0.17, gap_in = 0.09;
  const CacheAxis axis = axis_of(panels);
  const double count = static_cast<double>(panels.size());
  std::string& script = drawing.script;
  const style::Frame frame = style::frame(script, title, caption, style::key_rows(runs.arms),
                                          count * (name_in + panel_in) + (count - 1) * gap_in);
  drawing.height_in = frame.height_in;
  script += fmt::format("set xrange [{}:{}]\n{}set multiplot\n", axis.low, axis.high,
                        axis.log ? "set logscale x\n" : "");
  double top = frame.top;
  for (size_t i = 0; i < panels.size(); ++i) {
    const bool last = i + 1 == panels.size();
    top -= style::from_bottom(frame, name_in);
    const double bottom = top - style::from_bottom(frame, panel_in);
    script += data_blocks(runs, panels[i], axis);
    script += fmt::format("set tmargin at screen {:.4f}\nset bmargin at screen {:.4f}\n", top, bottom);
    script += x_tics(axis, last) + (last ? style::x_name("cached bytes per token") : "");
    script += fmt::format("set label 4 {} at screen 0.205, screen {:.4f} left font '{},{}'\n",
                          style::quoted(panels[i].measure), top + style::from_bottom(frame, 0.08), style::font,
                          style::small_font_pt);
    script += y_axis(panels[i], (top + bottom) / 2) + plot_command(runs, panels[i], i == 0);
    script += "unset label\nunset key\n";
    top = bottom - style::from_bottom(frame, gap_in);
  }
  script += "unset multiplot\n";
  return drawing;
}

}  // namespace attnlab
