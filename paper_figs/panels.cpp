#include "panels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "style.h"

namespace attnlab {
namespace {

// What a panel needs beside its drawing area.
double above_in(const Panel& panel) {
  return (panel.title.empty() ? 0 : 0.15) + (panel.second_x.name.empty() ? 0 : 0.33);
}
double below_in(const Panel& panel) { return panel.x.name.empty() ? 0.1 : 0.38; }

// Values to label on a logarithmic axis: powers of ten, thinned out if there are many; on a short axis
// multiples of them, too.
std::vector<double> log_tics(double low, double high) {
  const double decades = std::log10(high / low);
  std::vector<double> steps{1};
  if (decades < 3.2) steps = {1, 2, 5};
  if (decades < 1.2) steps = {1, 1.5, 2, 3, 4, 5, 7};
  if (decades < 0.4)
    steps = {1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2, 2.2, 2.5, 2.8, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9};
  const int every = std::max(1, static_cast<int>(std::ceil(decades / 7)));
  std::vector<double> tics;
  for (int power = static_cast<int>(std::floor(std::log10(low))); power <= std::log10(high); ++power)
    for (const double step : steps)
      if (const double tic = step * std::pow(10, power);
          power % every == 0 && tic >= low * (1 - 1e-9) && tic <= high * (1 + 1e-9))
        tics.push_back(tic);
  return tics;
}

// "0.5", "200", "1e-6".
std::string tic_label(double tic) {
  if (tic > 1e-3 && tic < 1e5) return fmt::format("{:g}", tic);
  const int power = static_cast<int>(std::floor(std::log10(tic * (1 + 1e-9))));
  return fmt::format("{:g}e{}", tic / std::pow(10, power), power);
}

std::string tic_list(const std::vector<std::pair<std::string, double>>& tics, bool labelled) {
  std::vector<std::string> parts;
  for (const auto& [label, place] : tics)
    parts.push_back(fmt::format("{} {}", style::quoted(labelled ? label : ""), place));
  return fmt::format("({})", fmt::join(parts, ", "));
}

// An axis of one value, or of none, gets a width.
PanelAxis with_width(PanelAxis axis) {
  if (axis.low > axis.high) axis.low = axis.high = axis.log ? 1 : 0;
  if (axis.log && axis.high < 1.02 * axis.low) {
    axis.low /= 1.2;
    axis.high *= 1.2;
  }
  if (!axis.log && axis.high == axis.low) axis.high = axis.low + 1;
  return axis;
}

std::string y_axis(const PanelAxis& given, double middle) {
  const PanelAxis axis = with_width(given);
  if (!axis.log) {
    std::string out = "unset logscale y\n" + style::y_axis(3, axis.name, middle, axis.low, axis.high, 5);
    if (axis.low == 0) out += fmt::format("set yrange [0:{}]\n", 1.05 * axis.high);
    return out;
  }
  const double margin = std::pow(axis.high / axis.low, 0.05);
  std::vector<std::pair<std::string, double>> tics;
  for (const double tic : log_tics(axis.low / margin, axis.high * margin))
    tics.emplace_back(tic_label(tic), tic);
  return fmt::format("set logscale y\nset yrange [{}:{}]\nset ytics {}\n", axis.low / margin,
                     axis.high * margin, tic_list(tics, true)) +
         style::y_name(3, axis.name, middle);
}

std::string x_axis(const PanelAxis& given) {
  const PanelAxis axis = with_width(given);
  const bool labelled = !axis.name.empty();
  return fmt::format("{} logscale x\nset xrange [{}:{}]\nset xtics {} format '{}'\n",
                     axis.log ? "set" : "unset", axis.low, axis.high,
                     axis.tics.empty() ? "autofreq" : tic_list(axis.tics, labelled), labelled ? "%g" : "") +
         style::x_name(axis.name);
}

std::string second_x_axis(const Panel& panel) {
  if (panel.second_x.name.empty()) return "unset x2tics\nunset x2label\n";
  return fmt::format(
      "set x2range [{}:{}]\nset x2tics {} font '{},{}' offset 0,-0.4\nset x2label {} offset 0,-0.9\n",
      panel.x.low, panel.x.high, tic_list(panel.second_x.tics, true), style::font, style::small_font_pt,
      style::quoted(panel.second_x.name));
}

bool has_band(const PanelSeries& series) {
  return std::any_of(series.points.begin(), series.points.end(),
                     [](const SeriesPoint& point) { return !std::isnan(point.low); });
}

std::string block_name(size_t panel, size_t series) { return fmt::format("$panel{}series{}", panel, series); }

std::string data_blocks(const Panel& panel, size_t place) {
  std::string out;
  for (size_t i = 0; i < panel.series.size(); ++i) {
    out += block_name(place, i) + " << EOD\n";
    for (const auto& point : panel.series[i].points)
      out += fmt::format("{} {} {} {}\n", point.x, point.y, point.low, point.high);
    out += "EOD\n";
  }
  return out;
}

std::string look_of(const PanelSeries& series) {
  if (series.marks && series.points.size() == 1) return "with points " + style::mark(series.look);
  return series.marks ? "with linespoints " + style::line_and_point(series.look)
                      : "with lines " + style::line(series.look);
}

std::string plot_command(const Panel& panel, size_t place, const std::vector<KeyEntry>& key) {
  std::vector<std::string> parts = panel.plots;
  for (size_t i = 0; i < panel.series.size(); ++i)
    if (has_band(panel.series[i]))
      parts.push_back(fmt::format("{} using 1:3:4 notitle with filledcurves {}", block_name(place, i),
                                  style::band(panel.series[i].look)));
  for (size_t i = 0; i < panel.series.size(); ++i)
    parts.push_back(fmt::format("{} using 1:2 notitle {}", block_name(place, i), look_of(panel.series[i])));
  for (const auto& entry : key)
    parts.push_back(fmt::format("keyentry {} title {}", entry.with, style::quoted(entry.title)));
  return fmt::format("plot {}\n", fmt::join(parts, ", "));
}

std::vector<KeyEntry> whole_key(const std::vector<Panel>& panels, const std::vector<KeyEntry>& more) {
  std::vector<KeyEntry> key;
  for (const auto& panel : panels)
    for (const auto& series : panel.series)
      if (std::none_of(key.begin(), key.end(),
                       [&](const KeyEntry& entry) { return entry.title == series.name; }))
        key.push_back({series.name, look_of(series)});
  key.insert(key.end(), more.begin(), more.end());
  return key;
}

std::string draw_panel(const Panel& panel, size_t place, double top, double bottom, double height_in,
                       const std::vector<KeyEntry>& key) {
  std::string out = fmt::format("set tmargin at screen {:.4f}\nset bmargin at screen {:.4f}\n", top, bottom);
  out += y_axis(panel.y, (top + bottom) / 2) + x_axis(panel.x) + second_x_axis(panel);
  if (!panel.title.empty())
    out += fmt::format("set label 4 {} at screen 0.205, screen {:.4f} left font '{},{}'\n",
                       style::quoted(panel.title), top + (above_in(panel) - 0.06) / height_in, style::font,
                       style::small_font_pt);
  out += panel.before + plot_command(panel, place, place == 0 ? key : std::vector<KeyEntry>{});
  return out + "unset label\nunset arrow\nunset object\nunset key\n";
}

}  // namespace

PanelAxis empty_axis(const std::string& name, bool log) {
  return {.name = name, .low = INFINITY, .high = -INFINITY, .log = log};
}

void widen(PanelAxis& axis, double value) {
  if (!std::isfinite(value)) return;
  axis.low = std::min(axis.low, value);
  axis.high = std::max(axis.high, value);
}

Drawing draw_panels(const std::string& name, const std::string& title, const std::string& caption,
                    const std::vector<Panel>& panels, const std::vector<KeyEntry>& more_key) {
  const std::vector<KeyEntry> key = whole_key(panels, more_key);
  std::vector<std::string> names;
  for (const auto& entry : key) names.push_back(entry.title);
  double body_in = 0;
  for (const auto& panel : panels)
    body_in += above_in(panel) + panel.height_in + (&panel == &panels.back() ? 0 : below_in(panel));
  Drawing drawing{.name = name};
  const style::Frame frame =
      style::frame(drawing.script, title, caption, style::key_shape(names), body_in, below_in(panels.back()));
  drawing.height_in = frame.height_in;
  drawing.words = frame.words;
  for (size_t i = 0; i < panels.size(); ++i) drawing.script += data_blocks(panels[i], i);
  if (panels.size() > 1) drawing.script += "set multiplot\n";
  double at_in = frame.top * frame.height_in;
  for (size_t i = 0; i < panels.size(); ++i) {
    const double top_in = at_in - above_in(panels[i]), bottom_in = top_in - panels[i].height_in;
    drawing.script +=
        draw_panel(panels[i], i, top_in / frame.height_in, bottom_in / frame.height_in, frame.height_in, key);
    at_in = bottom_in - below_in(panels[i]);
  }
  if (panels.size() > 1) drawing.script += "unset multiplot\n";
  return drawing;
}

}  // namespace attnlab
