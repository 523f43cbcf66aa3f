// What the cache buys: scores and held-out loss after training against the bytes that a token takes in the
// cache, a point per arm and sweep point with its 95 % interval.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "figure.h"
#include "final_values.h"
#include "scores.h"
#include "style.h"

namespace attnlab {
namespace {

struct CachePoint {
  size_t arm = 0, point = 0;
  int64_t seeds = 0, problems = 0;
  double bytes = 0;  // per token
  Interval value, shown;
};

struct Panel {
  std::string measure, y_label;
  std::vector<CachePoint> points;
};

// The cache has the number format in which the forward pass computes.
double bytes_per_number(const RunRecord& run) {
  return config_text(run, "train.precision") == "float32" ? 4 : 2;
}

std::string dtype_note(const RunSet& runs) {
  std::set<std::string> notes;
  for (const RunRecord& run : runs.records) {
    const std::string precision = config_text(run, "train.precision");
    notes.insert(precision.empty() ? "2 bytes a number" : precision == "float32" ? "float32" : "bfloat16");
  }
  return fmt::format("cache in {}", fmt::join(notes, ", "));
}

double bytes_of(const Cell& cell) {
  const RunRecord& run = *cell.runs.front();
  return bytes_per_number(run) * static_cast<double>(run.header.cached_numbers_per_token);
}

const Cell& cell_at(const RunSet& runs, size_t arm, size_t point) {
  return *std::find_if(runs.cells.begin(), runs.cells.end(),
                       [&](const Cell& cell) { return cell.arm == arm && cell.point == point; });
}

// The answers, or else a panel per task.
std::vector<Panel> score_panels(const RunSet& runs) {
  const std::vector<Score> scores = scores_of(runs);
  std::vector<Panel> panels;
  for (const Score& score : scores) {
    if (score.protocol.empty() != scores.front().protocol.empty()) break;
    const std::string name = score_name(score, scores);
    auto panel =
        std::find_if(panels.begin(), panels.end(), [&](const Panel& other) { return other.measure == name; });
    if (panel == panels.end()) {
      const bool tasks = !score.protocol.empty();
      panel = panels.insert(panels.end(),
                            {.measure = name, .y_label = tasks ? name + " (%)" : "solved (%)", .points = {}});
    }
    panel->points.push_back({.arm = score.arm,
                             .point = score.point,
                             .seeds = score.seeds,
                             .problems = score.problems,
                             .bytes = bytes_of(cell_at(runs, score.arm, score.point)),
                             .value = score.value,
                             .shown = cut_to_percents(score.value)});
  }
  return panels;
}

std::vector<Panel> panels_of(const RunSet& runs) {
  std::vector<Panel> panels = score_panels(runs);
  Panel loss{.measure = "held-out loss", .y_label = "held-out loss (nats)", .points = {}};
  for (const Cell& cell : runs.cells) {
    const Interval value = final_loss(cell);
    if (std::isnan(value.value)) continue;
    loss.points.push_back({.arm = cell.arm,
                           .point = cell.point,
                           .seeds = std::ssize(cell.runs),
                           .bytes = bytes_of(cell),
                           .value = value,
                           .shown = value});
  }
  if (!loss.points.empty()) panels.push_back(std::move(loss));
  return panels;
}

// The x axis that all panels share.
struct Axis {
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

Axis axis_of(const std::vector<Panel>& panels) {
  std::map<double, std::set<size_t>> arms;
  for (const Panel& panel : panels)
    for (const CachePoint& point : panel.points) arms[point.bytes].insert(point.arm);
  const double least = arms.begin()->first, most = arms.rbegin()->first;
  Axis axis{.log = least > 0 && most > 4 * least};
  const double room = axis.log ? std::pow(most / least, 0.12) : 1.12;
  axis.low = axis.log ? least / room : 0;
  axis.high = most * room;
  for (const auto& [bytes, here] : arms) axis.arms[bytes] = {here.begin(), here.end()};
  return axis;
}

// A tic at each size, if its label does not touch the one before.
std::string x_tics(const Axis& axis, bool labels) {
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
bool is_joined(const Panel& panel, size_t arm) {
  std::set<double> sizes;
  size_t points = 0;
  for (const CachePoint& point : panel.points) {
    if (point.arm != arm) continue;
    sizes.insert(point.bytes);
    ++points;
  }
  return points > 1 && sizes.size() == points;
}

std::vector<CachePoint> points_of(const Panel& panel, size_t arm) {
  std::vector<CachePoint> points;
  for (const CachePoint& point : panel.points)
    if (point.arm == arm) points.push_back(point);
  std::stable_sort(points.begin(), points.end(),
                   [](const CachePoint& a, const CachePoint& b) { return a.bytes < b.bytes; });
  return points;
}

std::string data_blocks(const RunSet& runs, const Panel& panel, const Axis& axis) {
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

std::string plot_command(const RunSet& runs, const Panel& panel, bool titles) {
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

std::string y_axis(const Panel& panel, double middle) {
  double low = INFINITY, high = -INFINITY;
  for (const CachePoint& point : panel.points) {
    const bool ends = point.shown.has_ends();
    low = std::min({low, point.shown.value, ends ? point.shown.low : INFINITY});
    high = std::max({high, point.shown.value, ends ? point.shown.high : -INFINITY});
  }
  return style::y_axis(3, panel.y_label, middle, low, high, 5);
}

std::string caption_of(const RunSet& runs) {
  std::vector<const Cell*> cells;
  for (const Cell& cell : runs.cells) cells.push_back(&cell);
  return fmt::format("{}; 95 % intervals; {}", count_seeds(cells), dtype_note(runs));
}

void write_script(Drawing& drawing, const RunSet& runs, const std::vector<Panel>& panels) {
  const double panel_in = 1.15, gap_in = 0.12;
  const Axis axis = axis_of(panels);
  const double count = static_cast<double>(panels.size());
  std::string& script = drawing.script;
  const style::Frame frame = style::frame(script, title_of("Scores and loss by cache", runs), caption_of(runs),
                                          style::key_rows(runs.arms), count * panel_in + (count - 1) * gap_in);
  drawing.height_in = frame.height_in;
  script += fmt::format("set xrange [{}:{}]\n{}set multiplot\n", axis.low, axis.high,
                        axis.log ? "set logscale x\n" : "");
  double top = frame.top;
  for (size_t i = 0; i < panels.size(); ++i) {
    const bool last = i + 1 == panels.size();
    const double bottom = top - style::from_bottom(frame, panel_in);
    script += data_blocks(runs, panels[i], axis);
    script += fmt::format("set tmargin at screen {:.4f}\nset bmargin at screen {:.4f}\n", top, bottom);
    script += x_tics(axis, last) + (last ? style::x_name("cached bytes per token") : "");
    script += y_axis(panels[i], (top + bottom) / 2) + plot_command(runs, panels[i], i == 0);
    script += "unset label\nunset key\n";
    top = bottom - style::from_bottom(frame, gap_in);
  }
  script += "unset multiplot\n";
}

std::string csv_of(const RunSet& runs, const std::vector<Panel>& panels) {
  std::string csv = "measure,arm,sweep_point,seeds,problems,cached_bytes_per_token,value,low,high\n";
  for (const Panel& panel : panels)
    for (const CachePoint& point : panel.points)
      csv += fmt::format("{},{},{},{},{},{},{}\n", csv_text(panel.measure), csv_text(runs.arms[point.arm]),
                         csv_text(runs.points[point.point]), point.seeds, point.problems, point.bytes,
                         csv_fields(point.value));
  return csv;
}

}  // namespace

Figure accuracy_cache(const RunSet& runs) {
  const std::vector<Panel> panels = panels_of(runs);
  if (panels.empty()) return {.drawings = {}, .missing = "no run has an accuracy, a task or a held-out loss"};
  Drawing drawing{.name = file_name("accuracy_cache", runs)};
  write_script(drawing, runs, panels);
  drawing.csv = csv_of(runs, panels);
  return {.drawings = {std::move(drawing)}, .missing = ""};
}

}  // namespace attnlab
