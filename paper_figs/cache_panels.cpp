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
  // How many arms lie over this one at its places: their intervals stand on one line, the undermost with the
  // widest ends.
  size_t above(size_t arm) const {
    size_t most = 0;
    for (const auto& [bytes, here] : arms)
      if (const auto at = std::find(here.begin(), here.end(), arm); at != here.end())
        most = std::max(most, static_cast<size_t>(here.end() - at) - 1);
    return most;
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

std::string tic_label(double bytes) {
  return bytes < 100 ? fmt::format("{:.2g}", bytes) : fmt::format("{:.0f}", bytes);
}

// A tic at each size, if its label does not touch the one before.
std::string x_tics(const CacheAxis& axis, bool labels) {
  std::vector<std::string> tics;
  double last = -1;
  for (const auto& [bytes, arms] : axis.arms) {
    const bool fits = labels && axis.share(bytes) - last > 0.13;
    tics.push_back(fmt::format("'{}' {}", fits ? tic_label(bytes) : "", bytes));
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

// Arms of one variant at different sizes, ascending: what a form reaches as its cache shrinks. Of one sweep
// point: where a panel has several, their points are joined by arm.
std::vector<std::vector<CachePoint>> families_of(const RunSet& runs, const CachePanel& panel) {
  std::map<std::string, std::vector<CachePoint>> by_variant;
  for (const CachePoint& point : panel.points) {
    if (point.point != panel.points.front().point) return {};
    for (const RunCell& cell : runs.cells)
      if (cell.arm == point.arm && cell.point == point.point)
        by_variant[cell.runs.front()->header.variant].push_back(point);
  }
  std::vector<std::vector<CachePoint>> families;
  for (auto& [variant, points] : by_variant) {
    std::stable_sort(points.begin(), points.end(),
                     [](const CachePoint& a, const CachePoint& b) { return a.bytes < b.bytes; });
    const auto equal = [](const CachePoint& a, const CachePoint& b) { return a.bytes == b.bytes; };
    // Of two arms with one size none is the one to join.
    if (points.size() > 1 && std::adjacent_find(points.begin(), points.end(), equal) == points.end())
      families.push_back(std::move(points));
  }
  return families;
}

std::string family_blocks(const std::vector<std::vector<CachePoint>>& families) {
  std::string out;
  for (size_t i = 0; i < families.size(); ++i) {
    out += fmt::format("$family{} << EOD\n", i);
    for (const CachePoint& point : families[i]) out += fmt::format("{} {}\n", point.bytes, point.value.value);
    out += "EOD\n";
  }
  return out;
}

// Of one size there is nothing to join.
bool has_front(const CacheAxis& axis) { return axis.arms.size() > 1; }

constexpr const char* front_name = "Pareto front";
constexpr const char* front_line = "lc rgb '#b3b3b3' lw 1.6 dt solid";

// The best mean that is reached with at most so many bytes, as stairs.
std::string front_block(const CachePanel& panel) {
  std::map<double, double> best;  // at each size
  for (const CachePoint& point : panel.points) {
    const double value = panel.lower_is_better ? -point.value.value : point.value.value;
    const auto [found, added] = best.emplace(point.bytes, value);
    if (!added) found->second = std::max(found->second, value);
  }
  std::string out = "$front << EOD\n";
  double reached = -INFINITY;
  for (const auto& [bytes, value] : best) {
    const double before = reached;
    reached = std::max(reached, value);
    const double sign = panel.lower_is_better ? -1 : 1;
    if (std::isfinite(before)) out += fmt::format("{} {}\n", bytes, sign * before);
    out += fmt::format("{} {}\n", bytes, sign * reached);
  }
  return out + "EOD\n";
}

std::string data_blocks(const RunSet& runs, const CachePanel& panel) {
  std::string out;
  for (size_t arm = 0; arm < runs.arms.size(); ++arm) {
    std::string values, ends;
    for (const CachePoint& point : points_of(panel, arm)) {
      const Interval& value = point.value;
      values += fmt::format("{} {}\n", point.bytes, value.value);
      if (value.has_ends()) ends += fmt::format("{} {} {}\n", point.bytes, value.low, value.high);
    }
    out += fmt::format("$value{0} << EOD\n{1}EOD\n$ends{0} << EOD\n{2}EOD\n", arm, values, ends);
  }
  return out + front_block(panel) + family_blocks(families_of(runs, panel));
}

std::string plot_command(const RunSet& runs, const CachePanel& panel, const CacheAxis& axis, bool titles) {
  std::vector<std::string> parts;
  if (has_front(axis))
    parts.push_back(fmt::format("$front using 1:2 {} with lines {}",
                                titles ? "title " + style::quoted(front_name) : "notitle", front_line));
  const auto families = families_of(runs, panel);
  for (size_t i = 0; i < families.size(); ++i)
    parts.push_back(
        fmt::format("$family{} using 1:2 notitle with lines {}", i, style::line(families[i].front().arm)));
  for (size_t arm = 0; arm < runs.arms.size(); ++arm) {
    const std::vector<CachePoint> points = points_of(panel, arm);
    if (std::any_of(points.begin(), points.end(), [](const CachePoint& p) { return p.value.has_ends(); }))
      parts.push_back(
          fmt::format("$ends{} using 1:2:(0):($3-$2) notitle {}", arm, style::bar(arm, axis.above(arm))));
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
    const bool ends = point.value.has_ends();
    low = std::min({low, point.value.value, ends ? point.value.low : INFINITY});
    high = std::max({high, point.value.value, ends ? point.value.high : -INFINITY});
  }
  return style::y_axis(3, panel.y_label, middle, low, high, 5);
}

}  // namespace

void add_score(std::vector<CachePanel>& panels, const std::string& name, const ArmScore& score, double bytes) {
  auto panel = std::find_if(panels.begin(), panels.end(),
                            [&](const CachePanel& other) { return other.measure == name; });
  if (panel == panels.end())
    panel = panels.insert(panels.end(), {.measure = name, .y_label = "solved (%)", .points = {}});
  panel->points.push_back({.arm = score.arm,
                           .point = score.point,
                           .seeds = score.seeds,
                           .problems = score.problems,
                           .bytes = bytes,
                           .value = score.value});
}

Drawing draw_cache_panels(const RunSet& runs, const std::vector<CachePanel>& panels, const std::string& title,
                          const std::string& caption, const std::string& x_name) {
  Drawing drawing;
  const double panel_in = 1.0, name_in = 0.17, gap_in = 0.09;
  const CacheAxis axis = axis_of(panels);
  const double count = static_cast<double>(panels.size());
  std::string& script = drawing.script;
  std::vector<std::string> key = runs.arms;
  if (has_front(axis)) key.emplace_back(front_name);
  const style::Frame frame = style::frame(script, title, caption, style::key_shape(key),
                                          count * (name_in + panel_in) + (count - 1) * gap_in);
  drawing.height_in = frame.height_in;
  drawing.words = frame.words;
  script += fmt::format("set xrange [{}:{}]\n{}set multiplot\n", axis.low, axis.high,
                        axis.log ? "set logscale x\n" : "");
  double top = frame.top;
  for (size_t i = 0; i < panels.size(); ++i) {
    const bool last = i + 1 == panels.size();
    top -= style::from_bottom(frame, name_in);
    const double bottom = top - style::from_bottom(frame, panel_in);
    script += data_blocks(runs, panels[i]);
    script += fmt::format("set tmargin at screen {:.4f}\nset bmargin at screen {:.4f}\n", top, bottom);
    script += x_tics(axis, last) + (last ? style::x_name(x_name) : "");
    script += fmt::format("set label 4 {} at screen {:.4f}, screen {:.4f} left font '{},{}'\n",
                          style::quoted(panels[i].measure), style::left_margin(),
                          top + style::from_bottom(frame, 0.08), style::font, style::small_font_pt);
    script += y_axis(panels[i], (top + bottom) / 2) + plot_command(runs, panels[i], axis, i == 0);
    script += "unset label\nunset key\n";
    top = bottom - style::from_bottom(frame, gap_in);
  }
  script += "unset multiplot\n";
  return drawing;
}

}  // namespace attnlab
