// Two panels on one axis of steps: the values above, the differences to the first arm below.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "curves.h"
#include "style.h"

namespace attnlab {
namespace {

using Panel = std::vector<Curve>;

struct Axes {
  int64_t first_step = 0, last_step = 0;
  Spread values{.low = INFINITY, .high = -INFINITY}, differences;
};

void widen(Spread& range, const Spread& value) {
  // A bare value has ends that are NaN, which compare as false and leave the range as it is.
  range.low = std::min({range.low, value.mean, std::isnan(value.low) ? value.mean : value.low});
  range.high = std::max({range.high, value.mean, std::isnan(value.high) ? value.mean : value.high});
}

// Lowest to highest over all sweep points, from the share `settled` of the steps on: the fall at the start
// would flatten all that follows. What lies below is always shown.
Axes axes_of(const std::vector<Panel>& panels, double settled) {
  Axes axes;
  for (const auto& panel : panels)
    for (const auto& curve : panel) axes.last_step = std::max(axes.last_step, curve.points.back().step);
  const double from = settled * static_cast<double>(axes.last_step);
  for (const auto& panel : panels)
    for (const auto& curve : panel)
      for (const auto& point : curve.points) {
        if (static_cast<double>(point.step) < from && &point != &curve.points.back()) continue;
        widen(axes.values, point.value);
        if (point.difference) widen(axes.differences, *point.difference);
      }
  return axes;
}

bool has_differences(const Panel& panel) {
  return std::any_of(panel.begin(), panel.end(), [](const Curve& curve) {
    return std::any_of(curve.points.begin(), curve.points.end(),
                       [](const CurvePoint& point) { return point.difference.has_value(); });
  });
}

// "x mean low high" a row; x is shifted by `shift` steps.
std::string data_blocks(const Panel& panel, double shift_per_arm) {
  std::string out;
  const auto add = [&](double x, const Spread& value) {
    out += fmt::format("{} {} {} {}\n", x, value.mean, value.low, value.high);
  };
  for (size_t i = 0; i < panel.size(); ++i) {
    const Curve& curve = panel[i];
    const double place = static_cast<double>(i) - static_cast<double>(panel.size() - 1) / 2;
    const auto x = [&](const CurvePoint& p) { return static_cast<double>(p.step) + place * shift_per_arm; };
    out += fmt::format("$value{} << EOD\n", curve.arm);
    for (const auto& point : curve.points) add(x(point), point.value);
    out += fmt::format("EOD\n$difference{} << EOD\n", curve.arm);
    for (const auto& point : curve.points)
      if (point.difference) add(x(point), *point.difference);
    out += "EOD\n";
  }
  return out;
}

// Ends first, then lines, in the arms' order: the first arm lies undermost.
std::string plot_command(const RunSet& runs, const Panel& panel, Ends ends, bool differences) {
  std::vector<std::string> parts;
  if (differences) parts.push_back("0 notitle with lines " + style::line(panel.front().arm));
  const char* block = differences ? "difference" : "value";
  const size_t skipped = differences ? 1 : 0;  // the first arm's difference to itself is the line at 0
  for (size_t i = skipped; i < panel.size(); ++i) {
    const size_t arm = panel[i].arm;
    if (panel[i].seeds < 2) continue;
    parts.push_back(
        ends == Ends::band
            ? fmt::format("${}{} using 1:3:4 notitle with filledcurves {}", block, arm, style::band(arm))
            : fmt::format("${}{} using 1:3:(0):($4-$3) notitle {}", block, arm, style::bar(arm)));
  }
  for (size_t i = skipped; i < panel.size(); ++i) {
    const size_t arm = panel[i].arm;
    const std::string title = differences ? "notitle" : "title " + style::quoted(runs.arms[arm]);
    parts.push_back(fmt::format(
        "${}{} using 1:2 {} with {}", block, arm, title,
        ends == Ends::band ? "lines " + style::line(arm) : "linespoints " + style::line_and_point(arm)));
  }
  return fmt::format("plot {}\n", fmt::join(parts, ", "));
}

std::string lower_panel(const RunSet& runs, const Panel& panel, const CurveFigure& figure, const Axes& axes,
                        double top, double bottom) {
  const std::string& first = runs.arms[panel.front().arm];
  return fmt::format(
      "unset label\nunset key\nset format x '%.0f'\nset xlabel 'step' offset 0,0.6\n"
      "set tmargin at screen {:.4f}\nset bmargin at screen {:.4f}\n{}{}unset multiplot\n",
      top, bottom,
      style::y_axis(3, first.size() <= 12 ? "minus " + first : "difference", (top + bottom) / 2,
                    axes.differences.low, axes.differences.high, 6),
      plot_command(runs, panel, figure.ends, true));
}

// Points of different arms at one step stand side by side, else error bars hide each other.
double shift_of(const CurveFigure& figure, const Axes& axes) {
  return figure.ends == Ends::bars ? 0.012 * static_cast<double>(axes.last_step) : 0;
}

std::string caption_of(const std::vector<const Cell*>& cells, const CurveFigure& figure) {
  const bool several =
      std::any_of(cells.begin(), cells.end(), [](const Cell* cell) { return cell->runs.size() > 1; });
  std::string caption = count_seeds(cells);
  if (several) caption += "; " + figure.summary;
  if (!figure.note.empty()) caption += "; " + figure.note;
  return caption;
}

void write_script(Drawing& drawing, const RunSet& runs, const Panel& panel, size_t place,
                  const CurveFigure& figure, const Axes& axes) {
  const auto cells = runs.cells_at(place);
  const bool two = has_differences(panel);
  const double upper_in = 1.45, gap_in = 0.12, lower_in = two ? 0.85 : 0;
  const std::string title = title_of(figure.title, runs, runs.points[place]);
  std::string& script = drawing.script;
  script = data_blocks(panel, shift_of(figure, axes));
  const style::Frame frame = style::frame(script, title, caption_of(cells, figure), panel.size(),
                                          upper_in + (two ? gap_in + lower_in : 0));
  drawing.height_in = frame.height_in;
  const double room = figure.ends == Ends::bars ? 0.03 * static_cast<double>(axes.last_step) : 0;
  script += fmt::format("set xrange [{}:{}]\n", -room, static_cast<double>(axes.last_step) + room);
  script += style::y_axis(3, figure.y_label, frame.top - style::from_bottom(frame, upper_in / 2),
                          axes.values.low, axes.values.high, 8);
  const std::string upper = plot_command(runs, panel, figure.ends, false);
  if (!two) {
    script += "set xlabel 'step' offset 0,0.6\n" + upper;
    return;
  }
  const double split = frame.bottom + style::from_bottom(frame, lower_in);
  script += fmt::format("set multiplot\nset bmargin at screen {:.4f}\nset format x ''\n{}",
                        split + style::from_bottom(frame, gap_in), upper);
  script += lower_panel(runs, panel, figure, axes, split, frame.bottom);
}

// A value and its ends as fields; what there is not stays empty.
std::string csv_fields(const Spread& value) {
  if (std::isnan(value.low)) return fmt::format("{},,", value.mean);
  return fmt::format("{},{},{}", value.mean, value.low, value.high);
}

std::string csv_of(const RunSet& runs, const Panel& panel, size_t place) {
  std::string csv = "arm,sweep_point,seeds,step,mean,low,high,difference,difference_low,difference_high\n";
  for (const auto& curve : panel)
    for (const auto& point : curve.points)
      csv += fmt::format("{},{},{},{},{},{}\n", csv_text(runs.arms[curve.arm]), csv_text(runs.points[place]),
                         curve.seeds, point.step, csv_fields(point.value),
                         point.difference ? csv_fields(*point.difference) : ",,");
  return csv;
}

}  // namespace

std::vector<Drawing> draw_curves(const RunSet& runs, const std::vector<Panel>& curves,
                                 const CurveFigure& figure) {
  const Axes axes = axes_of(curves, figure.settled);
  std::vector<Drawing> drawings;
  for (size_t place = 0; place < curves.size(); ++place) {
    if (curves[place].empty()) continue;
    Drawing& drawing = drawings.emplace_back();
    drawing.name = file_name(figure.name, runs, place);
    write_script(drawing, runs, curves[place], place, figure, axes);
    drawing.csv = csv_of(runs, curves[place], place);
  }
  return drawings;
}

}  // namespace attnlab
