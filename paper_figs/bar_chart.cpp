// Boxes side by side, interval and value over each.
#include "bar_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "style.h"

namespace attnlab {
namespace {

// Bars stand one unit apart; groups have a gap of one unit.
double x_of(const Bar& bar, size_t arms) { return static_cast<double>(bar.group * (arms + 1) + bar.arm) + 0.5; }

constexpr double panel_gap_in = 0.1;

double high_end(const Bar& bar) { return bar.after.has_ends() ? bar.after.high : bar.after.value; }

double top_of(const std::vector<Bar>& bars) {
  double top = 0;
  for (const auto& bar : bars) {
    const double highest = high_end(bar);
    top = std::max({top, highest, std::isnan(bar.before) ? 0 : bar.before});
  }
  return top > 0 ? top : 1;
}

std::string data_blocks(const std::vector<Bar>& bars, size_t arms) {
  std::string out;
  for (size_t arm = 0; arm < arms; ++arm) {
    out += fmt::format("$bar{} << EOD\n", arm);
    for (const auto& bar : bars)
      if (bar.arm == arm) out += fmt::format("{} {}\n", x_of(bar, arms), bar.after.value);
    out += "EOD\n";
  }
  out += "$ends << EOD\n";
  for (const auto& bar : bars) {
    const Interval& shown = bar.after;
    if (shown.has_ends())
      out += fmt::format("{} {} {} {}\n", x_of(bar, arms), shown.value, shown.low, shown.high);
  }
  out += "EOD\n$before << EOD\n";
  for (const auto& bar : bars)
    if (!std::isnan(bar.before)) out += fmt::format("{} {}\n", x_of(bar, arms), bar.before);
  return out + "EOD\n";
}

std::string plot_command(const BarChart& chart) {
  std::vector<std::string> parts;
  const std::vector<Bar>& bars = chart.bars;
  bool ends = false, before = false;
  for (const auto& bar : bars) {
    ends = ends || bar.after.has_ends();
    before = before || !std::isnan(bar.before);
  }
  for (size_t arm = 0; arm < chart.arms.size(); ++arm)
    if (std::any_of(bars.begin(), bars.end(), [&](const Bar& bar) { return bar.arm == arm; }))
      parts.push_back(fmt::format("$bar{} using 1:2:(0.72) title {} with boxes {}", arm,
                                  style::quoted(chart.arms[arm]), style::box(arm)));
  if (before)
    parts.push_back(
        "$before using ($1-0.46):2:(0.92):(0) title 'before training' with vectors nohead lc rgb '#000000' "
        "lw 1 dt (4,2)");
  if (ends)
    parts.push_back(
        fmt::format("$ends using 1:3:(0):($4-$3) notitle {} lc rgb '#000000' lw 0.9", style::end_bars));
  return fmt::format("plot {}\n", fmt::join(parts, ", "));
}

std::string x_axis(const BarChart& chart) {
  const size_t arms = chart.arms.size();
  std::string tics;
  for (size_t point = 0; point < chart.groups.size(); ++point) {
    const double middle = static_cast<double>(point * (arms + 1)) + static_cast<double>(arms) / 2;
    tics += fmt::format("{}{} {}", point ? ", " : "", style::quoted_lines(chart.groups[point]), middle);
  }
  return fmt::format("set xtics scale 0 ({})\n{}", tics, style::x_name(chart.axis));
}

size_t places_of(const BarChart& chart) { return chart.groups.size() * (chart.arms.size() + 1) - 1; }

// Values over the bars, upright where there are many, if there is room for them.
bool values_stand(const BarChart& chart) { return places_of(chart) > 12; }
std::string values(const BarChart& chart, double top, double panel_in) {
  const size_t arms = chart.arms.size(), places = places_of(chart);
  if (places > 36) return "";
  const bool stand = values_stand(chart);
  std::string out;
  int number = 10;
  for (const auto& bar : chart.bars) {
    double over = high_end(bar);
    if (!std::isnan(bar.before)) over = std::max(over, bar.before);
    out += fmt::format("set label {} '{:.1f}' at {},{} {} font '{},{}'\n", number++, bar.after.value,
                       x_of(bar, arms), over + (stand ? 0.044 : 0.08) / panel_in * top,
                       stand ? "left rotate by 90" : "center", style::font,
                       style::small_font_pt - (places > 9 ? 1 : 0));
  }
  return out;
}

// Groups that one axis can show: the largest is at most so many times the smallest. Shares of 85 % and of 1 %
// on one axis would hide what arms differ in on the second.
constexpr double most_apart = 4;

double top_of_group(const BarChart& chart, size_t group) {
  std::vector<Bar> bars = chart.bars;
  std::erase_if(bars, [&](const Bar& bar) { return bar.group != group; });
  return top_of(bars);
}

// The groups of each axis, the highest first.
std::vector<std::vector<size_t>> axes_of(const BarChart& chart) {
  std::vector<size_t> order(chart.groups.size());
  std::iota(order.begin(), order.end(), 0);
  if (!chart.own_scales) return {order};
  const auto top = [&](size_t group) { return top_of_group(chart, group); };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return top(a) > top(b); });
  std::vector<std::vector<size_t>> axes;
  for (const size_t group : order) {
    if (axes.empty() || top(axes.back().front()) > most_apart * top(group)) axes.emplace_back();
    axes.back().push_back(group);
  }
  for (auto& groups : axes) std::sort(groups.begin(), groups.end());
  return axes;
}

BarChart part_of(const BarChart& chart, const std::vector<size_t>& groups) {
  BarChart part{.arms = chart.arms, .axis = chart.axis, .axis_in = chart.axis_in};
  for (size_t i = 0; i < groups.size(); ++i) {
    part.groups.push_back(chart.groups[groups[i]]);
    for (Bar bar : chart.bars)
      if (bar.group == groups[i]) {
        bar.group = i;
        part.bars.push_back(bar);
      }
  }
  return part;
}

std::string panel_script(const BarChart& chart, double top_at, double bottom_at, double panel_in) {
  const double top = top_of(chart.bars);
  return data_blocks(chart.bars, chart.arms.size()) +
         fmt::format("set tmargin at screen {:.4f}\nset bmargin at screen {:.4f}\nset xrange [-0.3:{}]\n",
                     top_at, bottom_at, static_cast<double>(places_of(chart)) + 0.3) +
         fmt::format("set yrange [0:{}]\n", (values_stand(chart) ? 1.25 : 1.18) * top) +
         style::y_name(3, "solved (%)", (top_at + bottom_at) / 2) + x_axis(chart) +
         values(chart, top, panel_in) + plot_command(chart);
}

}  // namespace

Drawing draw_bars(const BarChart& chart, const std::string& name, const std::string& title,
                  const std::string& caption) {
  Drawing drawing{.name = name};
  const bool before =
      std::any_of(chart.bars.begin(), chart.bars.end(), [](const Bar& bar) { return !std::isnan(bar.before); });
  std::vector<std::string> key = chart.arms;
  if (before) key.emplace_back("before training");
  const auto axes = axes_of(chart);
  const double count = static_cast<double>(axes.size()), panel_in = axes.size() > 1 ? 1.05 : 1.45;
  const style::Frame frame =
      style::frame(drawing.script, title, caption, style::key_shape(key),
                   count * panel_in + (count - 1) * (chart.axis_in + panel_gap_in), chart.axis_in);
  drawing.height_in = frame.height_in;
  drawing.words = frame.words;
  if (axes.size() > 1) drawing.script += "set multiplot\n";
  double top = frame.top;
  for (const auto& groups : axes) {
    const double bottom = top - style::from_bottom(frame, panel_in);
    if (&groups != &axes.front()) drawing.script += "unset label\nunset key\n";
    drawing.script += panel_script(part_of(chart, groups), top, bottom, panel_in);
    top = bottom - style::from_bottom(frame, chart.axis_in + panel_gap_in);
  }
  if (axes.size() > 1) drawing.script += "unset multiplot\n";
  return drawing;
}

}  // namespace attnlab
