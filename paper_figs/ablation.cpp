// What each arm gains or loses against the first one: paired differences with their 95 % intervals, a panel for
// the held-out loss and for each score. One drawing per sweep point.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "figure.h"
#include "final_values.h"
#include "scores.h"
#include "style.h"

namespace attnlab {
namespace {

struct Difference {
  size_t arm = 0;
  int64_t seeds = 0;
  Interval value;
};

struct AblationPanel {
  std::string measure, unit, better;
  std::vector<Difference> rows;
};

constexpr double head_in = 0.17, row_in = 0.17, axis_in = 0.24;

AblationPanel loss_panel(const VerdictTable& table, const RunSet& runs, size_t point) {
  AblationPanel panel{.measure = "held-out loss", .unit = "nats per token", .better = "lower"};
  for (const ArmSummary& row : table.rows) {
    const Interval& value = row.difference(Metric::heldout_loss).difference;
    if (row.sweep_point != runs.points[point] || row.is_baseline || std::isnan(value.value)) continue;
    const auto arm = std::find(runs.arms.begin(), runs.arms.end(), row.arm) - runs.arms.begin();
    panel.rows.push_back({.arm = static_cast<size_t>(arm), .seeds = value.n, .value = value});
  }
  return panel;
}

// Of the loss, if it is known, and of `scores`.
std::vector<AblationPanel> panels_of(AblationPanel loss, const std::vector<ArmScore>& scores, size_t point) {
  std::vector<AblationPanel> panels;
  if (!loss.rows.empty()) panels.push_back(std::move(loss));
  for (const ArmScore& score : scores) {
    if (score.point != point || std::isnan(score.difference.value)) continue;
    const std::string name = score_name(score, scores);
    if (panels.empty() || panels.back().measure != name)
      panels.push_back({.measure = name, .unit = "points", .better = "higher"});
    panels.back().rows.push_back({.arm = score.arm, .seeds = score.seeds, .value = score.difference});
  }
  return panels;
}

// Over all values and 0, with room at both ends.
std::string x_range(const AblationPanel& panel) {
  double low = 0, high = 0;
  for (const Difference& row : panel.rows) {
    low = std::min({low, row.value.value, row.value.has_ends() ? row.value.low : 0});
    high = std::max({high, row.value.value, row.value.has_ends() ? row.value.high : 0});
  }
  const double room = high > low ? 0.06 * (high - low) : 1;
  return fmt::format("set xrange [{}:{}]\nset xtics {}\n", low - room, high + room,
                     style::tic_step(low - room, high + room, 5));
}

std::string data_blocks(const AblationPanel& panel) {
  std::string out;
  for (size_t i = 0; i < panel.rows.size(); ++i) {
    const Interval& value = panel.rows[i].value;
    out += fmt::format("$row{} << EOD\n{} {} {} {}\nEOD\n", i, value.value, i, value.low, value.high);
  }
  return out;
}

std::string plot_command(const AblationPanel& panel) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < panel.rows.size(); ++i) {
    const size_t arm = panel.rows[i].arm;
    if (panel.rows[i].value.has_ends())
      parts.push_back(fmt::format("$row{} using 3:2:($4-$3):(0) notitle {}", i, style::bar(arm)));
    parts.push_back(fmt::format("$row{} using 1:2 notitle with points {}", i, style::mark(arm)));
  }
  return fmt::format("plot {}\n", fmt::join(parts, ", "));
}

std::string panel_script(const AblationPanel& panel, const RunSet& runs, const style::Frame& frame, double top,
                         double bottom) {
  std::vector<std::string> names;
  for (size_t i = 0; i < panel.rows.size(); ++i)
    names.push_back(fmt::format("{} {}", style::quoted(runs.arms[panel.rows[i].arm]), i));
  const std::string label = fmt::format("{} ({}; {} is better)", panel.measure, panel.unit, panel.better);
  return fmt::format(
      "{}set tmargin at screen {:.4f}\nset bmargin at screen {:.4f}\n{}set yrange [{}:-0.6]\n"
      "set ytics scale 0 ({})\nset label 3 {} at screen 0.03, screen {:.4f} left font '{},{}'\n{}unset label\n",
      data_blocks(panel), top, bottom, x_range(panel), static_cast<double>(panel.rows.size()) - 0.4,
      fmt::join(names, ", "), style::quoted(label), top + style::from_bottom(frame, 0.08), style::font,
      style::small_font_pt, plot_command(panel));
}

// Room for the arms' names at the left, a share of the width.
double left_margin(const RunSet& runs) {
  size_t longest = 0;
  for (const std::string& arm : runs.arms) longest = std::max(longest, style::label_of(arm).size());
  return std::min(0.45, (0.26 + 0.055 * static_cast<double>(longest)) / style::layout_width_in());
}

std::string caption_of(const std::vector<AblationPanel>& panels, const std::string& note) {
  std::vector<size_t> counts;
  for (const AblationPanel& panel : panels)
    for (const Difference& row : panel.rows) counts.push_back(static_cast<size_t>(row.seeds));
  return count_seeds(counts) + "; paired difference, 95 % interval" + (note.empty() ? "" : "; " + note);
}

Drawing draw(const std::vector<AblationPanel>& panels, const RunSet& runs, size_t point,
             const std::string& note) {
  Drawing drawing{.name = file_name("ablation", runs, point)};
  double body_in = -axis_in;
  for (const AblationPanel& panel : panels)
    body_in += head_in + row_in * static_cast<double>(panel.rows.size()) + axis_in;
  const style::Frame frame = style::frame(
      drawing.script, title_of("Difference to " + style::label_of(runs.arms.front()), runs, runs.points[point]),
      caption_of(panels, note), {}, body_in, axis_in);
  drawing.height_in = frame.height_in;
  drawing.words = frame.words;
  drawing.script += fmt::format(
      "unset key\nset lmargin at screen {:.4f}\nset border 1\nset grid noytics xtics lc rgb '#d9d9d9' lw 0.4 "
      "dt solid\nset arrow from 0, graph 0 to 0, graph 1 nohead lc rgb '#000000' lw 0.8 back\nset multiplot\n",
      left_margin(runs));
  double top = frame.top;
  for (const AblationPanel& panel : panels) {
    top -= style::from_bottom(frame, head_in);
    const double bottom = top - style::from_bottom(frame, row_in * static_cast<double>(panel.rows.size()));
    drawing.script += panel_script(panel, runs, frame, top, bottom);
    top = bottom - style::from_bottom(frame, axis_in);
  }
  drawing.script += "unset multiplot\n";
  return drawing;
}

std::string csv_of(const std::vector<AblationPanel>& panels, const RunSet& runs, size_t point) {
  std::string csv = "measure,unit,arm,minus,sweep_point,seeds,difference,low,high\n";
  for (const AblationPanel& panel : panels)
    for (const Difference& row : panel.rows)
      csv += fmt::format("{},{},{},{},{},{},{}\n", csv_text(panel.measure), panel.unit,
                         csv_text(runs.arms[row.arm]), csv_text(runs.arms.front()),
                         csv_text(runs.points[point]), row.seeds, csv_fields(row.value));
  return csv;
}

}  // namespace

Figure ablation(const RunSet& runs) {
  const VerdictTable table = compare_arms(runs.records);
  const std::vector<ArmScore> scores = scores_of(runs);
  Figure made;
  for (size_t point = 0; point < runs.points.size(); ++point) {
    const AblationPanel loss = loss_panel(table, runs, point);
    const std::vector<AblationPanel> shown = panels_of(loss, first_protocols(scores), point);
    if (shown.empty()) continue;
    made.drawings.push_back(draw(shown, runs, point, protocol_note(scores)));
    made.drawings.back().csv = csv_of(panels_of(loss, scores, point), runs, point);
  }
  if (made.drawings.empty()) made.missing = "no second arm shares a seed with the first";
  return made;
}

}  // namespace attnlab
