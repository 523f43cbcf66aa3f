// Boxes side by side, interval and value over each.
#include "bar_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "final_values.h"
#include "style.h"

namespace attnlab {
namespace {

// Bars stand one unit apart; groups have a gap of one unit.
double x_of(const Bar& bar, size_t arms) { return static_cast<double>(bar.group * (arms + 1) + bar.arm) + 0.5; }

double high_end(const Bar& bar) {
  return bar.after.has_ends() ? cut_to_percents(bar.after).high : bar.after.value;
}

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
    const Interval shown = cut_to_percents(bar.after);
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
std::string values(const BarChart& chart, double top) {
  const size_t arms = chart.arms.size(), places = places_of(chart);
  if (places > 36) return "";
  const bool stand = values_stand(chart);
  std::string out;
  int number = 10;
  for (const auto& bar : chart.bars) {
    double over = high_end(bar);
    if (!std::isnan(bar.before)) over = std::max(over, bar.before);
    out +=
        fmt::format("set label {} '{:.1f}' at {},{} {} font '{},{}'\n", number++, bar.after.value,
                    x_of(bar, arms), over + (stand ? 0.03 : 0.05) * top, stand ? "left rotate by 90" : "center",
                    style::font, style::small_font_pt - (places > 9 ? 1 : 0));
  }
  return out;
}

}  // namespace

Drawing draw_bars(const BarChart& chart, const std::string& name, const std::string& title,
                  const std::string& caption) {
  const size_t arms = chart.arms.size();
  Drawing drawing{.name = name};
  drawing.script = data_blocks(chart.bars, arms);
  const bool before =
      std::any_of(chart.bars.begin(), chart.bars.end(), [](const Bar& bar) { return !std::isnan(bar.before); });
  std::vector<std::string> key = chart.arms;
  if (before) key.emplace_back("before training");
  const style::Frame frame =
      style::frame(drawing.script, title, caption, style::key_rows(key), 1.45, chart.axis_in);
  drawing.height_in = frame.height_in;
  const double top = top_of(chart.bars), width = static_cast<double>(chart.groups.size() * (arms + 1)) - 1;
  drawing.script += fmt::format("set xrange [-0.3:{}]\nset yrange [0:{}]\n", width + 0.3,
                                (values_stand(chart) ? 1.25 : 1.18) * top) +
                    style::y_name(3, "solved (%)", (frame.top + frame.bottom) / 2) + x_axis(chart) +
                    values(chart, top) + plot_command(chart);
  return drawing;
}

}  // namespace attnlab
