// Accuracy of the answers after training: a bar per arm with its 95 % interval, and the accuracy before
// training where an evaluation at step 0 tells it. With a sweep, a group of bars per sweep point.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "bar_chart.h"
#include "core/errors.h"
#include "final_values.h"

namespace attnlab {
namespace {

std::vector<Bar> bars_of(const RunSet& runs) {
  std::vector<Bar> bars;
  for (const auto& cell : runs.cells) {
    const Interval after = final_accuracy(cell);
    if (!std::isnan(after.value))
      bars.push_back({.arm = cell.arm, .group = cell.point, .after = after, .before = accuracy_before(cell)});
  }
  return bars;
}

// What stands below the groups of bars. "train.lr=0.001,train.steps=100" is told in two lines, "lr=0.001" and
// "steps=100". Where one key is swept it names the axis, and each group its value.
std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

void name_groups(BarChart& chart, const RunSet& runs) {
  chart.groups = {""};
  if (runs.points.size() == 1) return;
  chart.groups.clear();
  const std::string key = runs.points.front().substr(0, runs.points.front().find('=') + 1);
  const bool one_key = std::all_of(runs.points.begin(), runs.points.end(), [&](const std::string& point) {
    return !key.empty() && point.rfind(key, 0) == 0 && std::count(point.begin(), point.end(), '=') == 1;
  });
  if (one_key) chart.axis = key.substr(0, key.size() - 1);
  size_t most_lines = 1;
  for (const auto& point : runs.points) {
    std::vector<std::string> lines = split(one_key ? point.substr(key.size()) : point, ',');
    if (!one_key)
      for (auto& line : lines) line.erase(0, line.rfind('.', line.find('=')) + 1);
    most_lines = std::max(most_lines, lines.size());
    chart.groups.push_back(join(lines, "\n"));
  }
  chart.axis_in = one_key ? 0.36 : 0.12 + 0.13 * static_cast<double>(most_lines);
}

std::string caption_of(const RunSet& runs, int64_t problems) {
  std::vector<const RunCell*> cells;
  bool single = false, several = false;
  for (const auto& cell : runs.cells) {
    cells.push_back(&cell);
    (cell.runs.size() == 1 ? single : several) = true;
  }
  const char* over = !single   ? "seeds and problems"
                     : several ? "problems, of several seeds over both"
                               : "problems";
  return fmt::format("{}; {} problems; 95 % interval over {}", count_seeds(cells), problems, over);
}

const RunCell& cell_of(const RunSet& runs, const Bar& bar) {
  return *std::find_if(runs.cells.begin(), runs.cells.end(), [&](const RunCell& candidate) {
    return candidate.arm == bar.arm && candidate.point == bar.group;
  });
}

std::string csv_of(const RunSet& runs, const std::vector<Bar>& bars) {
  std::string csv = "arm,sweep_point,seeds,problems,accuracy_percent,low,high,before_training_percent\n";
  for (const auto& bar : bars) {
    const RunCell& cell = cell_of(runs, bar);
    csv += fmt::format("{},{},{},{},{},{}\n", csv_text(runs.arms[bar.arm]), csv_text(runs.points[bar.group]),
                       cell.runs.size(), problems_asked(cell), csv_fields(bar.after),
                       std::isnan(bar.before) ? "" : fmt::format("{}", bar.before));
  }
  return csv;
}

}  // namespace

Figure accuracy(const RunSet& runs) {
  BarChart chart{.arms = runs.arms, .bars = bars_of(runs)};
  if (chart.bars.empty()) return {.drawings = {}, .missing = "no evaluation after training has an accuracy"};
  name_groups(chart, runs);
  Drawing drawing = draw_bars(chart, file_name("accuracy", runs), title_of("Accuracy", runs),
                              caption_of(runs, problems_asked(cell_of(runs, chart.bars.front()))));
  drawing.csv = csv_of(runs, chart.bars);
  return {.drawings = {std::move(drawing)}, .missing = ""};
}

}  // namespace attnlab
