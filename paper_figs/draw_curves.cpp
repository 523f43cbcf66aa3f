// Two panels on one x axis: the values above, the differences to the first arm below.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "curve_axes.h"
#include "style.h"

namespace attnlab {
namespace {

using CurvePanel = std::vector<Curve>;

bool has_differences(const CurvePanel& panel) {
  return std::any_of(panel.begin(), panel.end(), [](const Curve& curve) {
    return std::any_of(curve.points.begin(), curve.points.end(),
                       [](const CurvePoint& point) { return point.difference.has_value(); });
  });
}

bool has_marks(const CurvePanel& panel) {
  return std::any_of(panel.begin(), panel.end(), [](const Curve& curve) {
    return std::any_of(curve.points.begin(), curve.points.end(),
                       [](const CurvePoint& point) { return point.marked; });
  });
}

// The points that are told apart, and in "x" alone those above the axis.
std::string more_blocks(const Curve& curve, double place, const CurveFigure& figure, const CurveAxes& axes) {
  std::string marks, above;
  for (const CurvePoint& point : curve.points) {
    const double x = shifted(point.x, place, figure, axes);
    if (point.marked) marks += fmt::format("{} {}\n", x, point.value.mean);
    if (point.value.mean > axes.cut) above += fmt::format("{}\n", x);
  }
  return fmt::format("$marks{0} << EOD\n{1}EOD\n$above{0} << EOD\n{2}EOD\n", curve.arm, marks, above);
}

// "x mean low high" a row.
std::string data_blocks(const CurvePanel& panel, const CurveFigure& figure, const CurveAxes& axes) {
  std::string out;
  const auto add = [&](double x, const Spread& value) {
    out += fmt::format("{} {} {} {}\n", x, value.mean, value.low, value.high);
  };
  for (size_t i = 0; i < panel.size(); ++i) {
    const Curve& curve = panel[i];
    const double place = static_cast<double>(i) - static_cast<double>(panel.size() - 1) / 2;
    const auto x = [&](const CurvePoint& point) { return shifted(point.x, place, figure, axes); };
    out += fmt::format("$value{} << EOD\n", curve.arm);
    for (const auto& point : curve.points) add(x(point), point.value);
    out += fmt::format("EOD\n$difference{} << EOD\n", curve.arm);
    for (const auto& point : curve.points)
      if (point.difference) add(x(point), *point.difference);
    out += "EOD\n" + more_blocks(curve, place, figure, axes);
  }
  return out;
}

bool is_above(const Curve& curve, const CurveAxes& axes) {
  return std::any_of(curve.points.begin(), curve.points.end(),
                     [&](const CurvePoint& point) { return point.value.mean > axes.cut; });
}

void add_marks(std::vector<std::string>& parts, const CurvePanel& panel, const CurveFigure& figure,
               const CurveAxes& axes) {
  for (const Curve& curve : panel) {
    if (has_marks({curve}))
      parts.push_back(
          fmt::format("$marks{} using 1:2 notitle with points {}", curve.arm, style::large_mark(curve.arm)));
    if (is_above(curve, axes))
      parts.push_back(
          fmt::format("$above{} using 1:({}):(0):({}) notitle with vectors filled head size graph 0.013,25 {}",
                      curve.arm, axes.cut - 0.07 * (axes.cut - axes.values.low),
                      0.1 * (axes.cut - axes.values.low), style::arrow(curve.arm)));
  }
  if (has_marks(panel))
    parts.push_back(fmt::format("keyentry with points {} title {}", style::large_mark(panel.front().arm),
                                style::quoted(figure.mark)));
}

// A curve of many points has its arm's symbol at four of them, at other places than other arms' are.
std::string symbols(const std::string& block, const Curve& curve, size_t place, size_t curves) {
  const size_t step = std::max<size_t>(1, curve.points.size() / 4);
  return fmt::format("{} using 1:2 every {}::{} notitle with points {}", block, step,
                     (2 * place + 1) * step / (2 * curves), style::mark(curve.arm));
}

// Ends first, then lines, in the arms' order: the first arm lies undermost.
std::string plot_command(const RunSet& runs, const CurvePanel& panel, const CurveFigure& figure,
                         const CurveAxes& axes, bool differences) {
  const Ends ends = figure.ends;
  std::vector<std::string> parts;
  if (differences) parts.push_back("0 notitle with lines " + style::line(panel.front().arm));
  const char* block = differences ? "difference" : "value";
  const size_t skipped = differences ? 1 : 0;  // the first arm's difference to itself is the line at 0
  for (size_t i = skipped; i < panel.size(); ++i) {
    const size_t arm = panel[i].arm;
    if (panel[i].seeds < 2) continue;
    parts.push_back(ends == Ends::band
                        ? fmt::format("${}{} using 1:3:4 notitle with filledcurves {}", block, arm,
                                      style::band(arm, panel.size()))
                        : fmt::format("${}{} using 1:3:(0):($4-$3) notitle {}", block, arm,
                                      style::bar(arm, is_one_place(axes) ? 0 : panel.size() - 1 - i)));
  }
  for (size_t i = skipped; i < panel.size(); ++i) {
    const size_t arm = panel[i].arm;
    const std::string data = fmt::format("${}{}", block, arm);
    const std::string look = is_one_place(axes)
                                 ? "points " + style::mark(arm)  // nothing to draw a line between
                                 : "linespoints " + style::line_and_point(arm);
    if (ends == Ends::band) {
      parts.push_back(fmt::format("{} using 1:2 notitle with lines {}", data, style::line(arm)));
      parts.push_back(symbols(data, panel[i], i, panel.size()));
    } else {
      parts.push_back(fmt::format("{} using 1:2 notitle with {}", data, look));
    }
    if (!differences)
      parts.push_back(fmt::format("keyentry with {} title {}", look, style::quoted(runs.arms[arm])));
  }
  if (!differences) add_marks(parts, panel, figure, axes);
  return fmt::format("plot {}\n", fmt::join(parts, ", "));
}

// "loss minus gqa", or, where the first arm's name is long, what the caption explains.
std::string difference_label(const RunSet& runs, const CurvePanel& panel, const CurveFigure& figure) {
  const std::string label =
      fmt::format("{} minus {}", figure.measure, style::label_of(runs.arms[panel.front().arm]));
  return label.size() <= 18 ? label : "Δ " + figure.measure;
}

std::string lower_panel(const RunSet& runs, const CurvePanel& panel, const CurveFigure& figure,
                        const CurveAxes& axes, double top, double bottom) {
  return fmt::format(
      "unset label\nunset key\nset format x '{}'\n{}"
      "set tmargin at screen {:.4f}\nset bmargin at screen {:.4f}\n{}{}unset multiplot\n",
      axes.last_x / figure.x_unit < 1e6 ? "%g" : "%.0f", x_axis(panel, figure, axes), top, bottom,
      style::y_axis(3, difference_label(runs, panel, figure), (top + bottom) / 2, axes.differences.low,
                    axes.differences.high, 6),
      plot_command(runs, panel, figure, axes, true));
}

std::vector<std::string> key_of(const RunSet& runs, const CurvePanel& panel, const CurveFigure& figure) {
  std::vector<std::string> names;
  for (const Curve& curve : panel) names.push_back(runs.arms[curve.arm]);
  if (has_marks(panel)) names.push_back(figure.mark);
  return names;
}

// "arrows: up to 4.4"; nothing if all points are within the axis.
std::string cut_note(const CurvePanel& panel, const CurveAxes& axes) {
  double highest = -INFINITY;
  for (const Curve& curve : panel)
    for (const CurvePoint& point : curve.points) highest = std::max(highest, point.value.mean);
  return highest > axes.cut ? fmt::format("; arrows: above the axis, up to {:.2g}", highest) : "";
}

std::string caption_of(const RunSet& runs, const CurvePanel& panel, const CurveFigure& figure,
                       const CurveAxes& axes) {
  std::vector<size_t> counts;
  for (const Curve& curve : panel) counts.push_back(curve.seeds);
  std::string caption = count_seeds(counts);
  if (*std::max_element(counts.begin(), counts.end()) > 1) caption += "; " + figure.summary;
  if (!figure.note.empty()) caption += "; " + figure.note;
  if (figure.differences && has_differences(panel) && difference_label(runs, panel, figure).starts_with("Δ"))
    caption += "; Δ: minus " + style::label_of(runs.arms[panel.front().arm]);
  if (figure.settled > 0 && !shows_all(panel, axes))
    caption += fmt::format("; the first {:.0f} % may lie beyond the axes", 100 * figure.settled);
  return caption + cut_note(panel, axes);
}

void write_script(Drawing& drawing, const RunSet& runs, const CurvePanel& panel, size_t place,
                  const CurveFigure& figure, const CurveAxes& axes) {
  const bool two = figure.differences && has_differences(panel);
  const double upper_in = 1.45, gap_in = 0.12, lower_in = two ? 0.85 : 0;
  const std::string title = title_of(figure.title, runs, runs.points[place]);
  std::string& script = drawing.script;
  script = data_blocks(panel, figure, axes);
  const style::Frame frame =
      style::frame(script, title, caption_of(runs, panel, figure, axes),
                   style::key_shape(key_of(runs, panel, figure)), upper_in + (two ? gap_in + lower_in : 0));
  drawing.height_in = frame.height_in;
  drawing.words = frame.words;
  script += x_range(figure, axes);
  script += style::y_axis(3, figure.y_label, frame.top - style::from_bottom(frame, upper_in / 2),
                          axes.values.low, axes.values.high, 8);
  const std::string upper = plot_command(runs, panel, figure, axes, false);
  if (!two) {
    script += x_axis(panel, figure, axes) + upper;
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

std::string csv_of(const RunSet& runs, const CurvePanel& panel, size_t place, const CurveFigure& figure) {
  std::string csv = fmt::format("arm,sweep_point,seeds,{},mean,low,high", figure.x_column);
  csv += figure.differences ? ",difference,difference_low,difference_high\n" : "\n";
  for (const auto& curve : panel)
    for (const auto& point : curve.points) {
      csv += fmt::format("{},{},{},{},{}", csv_text(runs.arms[curve.arm]), csv_text(runs.points[place]),
                         curve.seeds, point.x, csv_fields(point.value));
      if (figure.differences) csv += "," + (point.difference ? csv_fields(*point.difference) : ",,");
      csv += "\n";
    }
  return csv;
}

}  // namespace

std::vector<Drawing> draw_curves(const RunSet& runs, const std::vector<CurvePanel>& curves,
                                 const CurveFigure& figure) {
  const CurveAxes axes = axes_of(curves, figure);
  std::vector<Drawing> drawings;
  for (size_t place = 0; place < curves.size(); ++place) {
    if (curves[place].empty()) continue;
    Drawing& drawing = drawings.emplace_back();
    drawing.name = file_name(figure.name, runs, place);
    write_script(drawing, runs, curves[place], place, figure, axes);
    drawing.csv = csv_of(runs, curves[place], place, figure);
  }
  return drawings;
}

}  // namespace attnlab
