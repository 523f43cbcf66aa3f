// Accuracy after training: a bar per arm with its 95 % interval, and the accuracy before training where an
// evaluation at step 0 tells it. With a sweep, a group of bars per sweep point.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "core/errors.h"
#include "figure.h"
#include "style.h"

namespace attnlab {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

struct Bar {
  size_t arm = 0, point = 0;
  Interval after;
  double before = none;
  int64_t problems = 0;
};

std::vector<double> percents(const Cell& cell, bool at_start) {
  std::vector<double> values;
  for (const RunRecord* run : cell.runs) {
    if (run->evaluations.empty()) continue;
    const EvaluationRow& row = at_start ? run->evaluations.front() : run->evaluations.back();
    if (row.problems > 0 && (row.step == 0) == at_start) values.push_back(100 * row.accuracy);
  }
  return values;
}

// One seed gives no interval over seeds; the problems that it was asked do.
Interval interval_over_problems(const EvaluationRow& row) {
  Interval interval = wilson_interval(row.correct, row.problems);
  for (double* value : {&interval.value, &interval.low, &interval.high}) *value *= 100;
  return interval;
}

std::vector<Bar> bars_of(const RunSet& runs) {
  std::vector<Bar> bars;
  for (const auto& cell : runs.cells) {
    const std::vector<double> after = percents(cell, false), before = percents(cell, true);
    if (after.empty()) continue;
    const EvaluationRow& row = cell.runs.front()->evaluations.back();
    Bar bar{.arm = cell.arm, .point = cell.point, .after = mean_interval(after), .problems = row.problems};
    if (cell.runs.size() == 1) bar.after = interval_over_problems(row);
    if (!before.empty()) bar.before = spread_of(before).mean;
    bars.push_back(bar);
  }
  return bars;
}

// Bars stand one unit apart; groups have a gap of one unit.
double x_of(const Bar& bar, size_t arms) { return static_cast<double>(bar.point * (arms + 1) + bar.arm) + 0.5; }

double top_of(const std::vector<Bar>& bars) {
  double top = 0;
  for (const auto& bar : bars) {
    const double highest = std::isnan(bar.after.high) ? bar.after.value : bar.after.high;
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
  for (const auto& bar : bars)
    if (bar.after.has_ends())
      out += fmt::format("{} {} {} {}\n", x_of(bar, arms), bar.after.value, bar.after.low, bar.after.high);
  out += "EOD\n$before << EOD\n";
  for (const auto& bar : bars)
    if (!std::isnan(bar.before)) out += fmt::format("{} {}\n", x_of(bar, arms), bar.before);
  return out + "EOD\n";
}

std::string plot_command(const RunSet& runs, const std::vector<Bar>& bars) {
  std::vector<std::string> parts;
  bool ends = false, before = false;
  for (const auto& bar : bars) {
    ends = ends || bar.after.has_ends();
    before = before || !std::isnan(bar.before);
  }
  for (size_t arm = 0; arm < runs.arms.size(); ++arm)
    if (std::any_of(bars.begin(), bars.end(), [&](const Bar& bar) { return bar.arm == arm; }))
      parts.push_back(fmt::format("$bar{} using 1:2:(0.72) title {} with boxes {}", arm,
                                  style::quoted(runs.arms[arm]), style::box(arm)));
  if (before)
    parts.push_back(
        "$before using ($1-0.46):2:(0.92):(0) title 'before training' with vectors nohead lc rgb '#000000' "
        "lw 1 dt (4,2)");
  if (ends)
    parts.push_back(
        fmt::format("$ends using 1:3:(0):($4-$3) notitle {} lc rgb '#000000' lw 0.9", style::end_bars));
  return fmt::format("plot {}\n", fmt::join(parts, ", "));
}

// What stands below the groups of bars. "train.lr=0.001,train.steps=100" is told in two lines, "lr=0.001" and
// "steps=100". Where one key is swept it names the axis, and each group its value.
struct Groups {
  std::string axis;
  std::vector<std::string> names;
  double height_in = 0.12;
};

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

Groups name_groups(const RunSet& runs) {
  Groups groups;
  if (runs.points.size() == 1) return {.names = {""}};
  const std::string key = runs.points.front().substr(0, runs.points.front().find('=') + 1);
  const bool one_key = std::all_of(runs.points.begin(), runs.points.end(), [&](const std::string& point) {
    return !key.empty() && point.rfind(key, 0) == 0 && std::count(point.begin(), point.end(), '=') == 1;
  });
  if (one_key) groups.axis = key.substr(0, key.size() - 1);
  size_t most_lines = 1;
  for (const auto& point : runs.points) {
    std::vector<std::string> lines = split(one_key ? point.substr(key.size()) : point, ',');
    if (!one_key)
      for (auto& line : lines) line.erase(0, line.rfind('.', line.find('=')) + 1);
    most_lines = std::max(most_lines, lines.size());
    groups.names.push_back(join(lines, "\n"));
  }
  groups.height_in = one_key ? 0.36 : 0.12 + 0.13 * static_cast<double>(most_lines);
  return groups;
}

std::string x_axis(const Groups& groups, size_t arms) {
  std::string tics;
  for (size_t point = 0; point < groups.names.size(); ++point) {
    const double middle = static_cast<double>(point * (arms + 1)) + static_cast<double>(arms) / 2;
    tics += fmt::format("{}{} {}", point ? ", " : "", style::quoted_lines(groups.names[point]), middle);
  }
  return fmt::format("set xtics scale 0 ({})\nset xlabel {} offset 0,0.6\n", tics, style::quoted(groups.axis));
}

// Values over the bars, if there is room for them.
std::string values(const RunSet& runs, const std::vector<Bar>& bars, double top) {
  const size_t arms = runs.arms.size(), places = runs.points.size() * (arms + 1) - 1;
  if (places > 15) return "";
  std::string out;
  int number = 10;
  for (const auto& bar : bars) {
    double over = std::isnan(bar.after.high) ? bar.after.value : bar.after.high;
    if (!std::isnan(bar.before)) over = std::max(over, bar.before);
    out += fmt::format("set label {} '{:.1f}' at {},{} center font '{},{}'\n", number++, bar.after.value,
                       x_of(bar, arms), over + 0.05 * top, style::font,
                       style::small_font_pt - (places > 9 ? 1.5 : 0));
  }
  return out;
}

std::string caption_of(const RunSet& runs, const std::vector<Bar>& bars) {
  std::vector<const Cell*> cells;
  bool single = false, several = false;
  for (const auto& cell : runs.cells) {
    cells.push_back(&cell);
    (cell.runs.size() == 1 ? single : several) = true;
  }
  const char* over = !single ? "seeds" : several ? "seeds or problems" : "problems";
  return fmt::format("{}; {} problems; 95 % interval over {}", count_seeds(cells), bars.front().problems, over);
}

std::string csv_of(const RunSet& runs, const std::vector<Bar>& bars) {
  std::string csv = "arm,sweep_point,seeds,problems,accuracy_percent,low,high,before_training_percent\n";
  for (const auto& bar : bars) {
    const auto cell = std::find_if(runs.cells.begin(), runs.cells.end(), [&](const Cell& candidate) {
      return candidate.arm == bar.arm && candidate.point == bar.point;
    });
    csv += fmt::format("{},{},{},{},{},", csv_text(runs.arms[bar.arm]), csv_text(runs.points[bar.point]),
                       cell->runs.size(), bar.problems, bar.after.value);
    csv += bar.after.has_ends() ? fmt::format("{},{},", bar.after.low, bar.after.high) : ",,";
    csv += std::isnan(bar.before) ? "\n" : fmt::format("{}\n", bar.before);
  }
  return csv;
}

}  // namespace

Figure accuracy(const RunSet& runs) {
  const std::vector<Bar> bars = bars_of(runs);
  if (bars.empty()) return {.drawings = {}, .missing = "no evaluation after training has an accuracy"};
  const size_t arms = runs.arms.size();
  Drawing drawing{.name = file_name("accuracy", runs)};
  drawing.script = data_blocks(bars, arms);
  const Groups groups = name_groups(runs);
  const bool before =
      std::any_of(bars.begin(), bars.end(), [](const Bar& bar) { return !std::isnan(bar.before); });
  const style::Frame frame = style::frame(drawing.script, title_of("Accuracy", runs), caption_of(runs, bars),
                                          arms + (before ? 1 : 0), 1.45, groups.height_in);
  drawing.height_in = frame.height_in;
  const double top = top_of(bars), width = static_cast<double>(runs.points.size() * (arms + 1)) - 1;
  drawing.script += fmt::format("set xrange [-0.3:{}]\nset yrange [0:{}]\n", width + 0.3, 1.18 * top) +
                    style::y_name(3, "solved (%)", (frame.top + frame.bottom) / 2) + x_axis(groups, arms) +
                    values(runs, bars, top) + plot_command(runs, bars);
  drawing.csv = csv_of(runs, bars);
  return {.drawings = {std::move(drawing)}, .missing = ""};
}

}  // namespace attnlab
