#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/progress.h"
#include "experiment/verdict.h"

namespace attnlab {
namespace {

// A line of cells, or a heading over the lines that follow.
struct Line {
  std::string heading;
  std::vector<std::string> cells;
};

struct Grid {
  std::vector<std::string> titles;
  std::vector<Line> lines;
};

// Characters, not bytes: "±" counts once.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string text_line(const std::vector<std::string>& cells, const std::vector<size_t>& widths) {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string gap(widths[i] - width_of(cells[i]), ' ');
    line += (i > 0 ? "  " : "") + (i == 0 ? cells[i] + gap : gap + cells[i]);  // names left, numbers right
  }
  return line + "\n";
}

std::string as_text(const Grid& grid) {
  std::vector<size_t> widths;
  for (const auto& title : grid.titles) widths.push_back(width_of(title));
  for (const auto& line : grid.lines)
    for (size_t i = 0; i < line.cells.size(); ++i) widths[i] = std::max(widths[i], width_of(line.cells[i]));
  size_t total = 2 * (widths.size() - 1);
  for (const size_t width : widths) total += width;
  std::string text = text_line(grid.titles, widths) + std::string(total, '-') + "\n";
  for (const auto& line : grid.lines)
    text += line.cells.empty() ? line.heading + "\n" : text_line(line.cells, widths);
  return text;
}

std::string as_markdown(const Grid& grid) {
  const auto row = [](const std::vector<std::string>& cells) { return "| " + join(cells, " | ") + " |\n"; };
  std::vector<std::string> rule(grid.titles.size(), "---:");
  rule[0] = "---";
  std::string text = row(grid.titles) + row(rule);
  for (const auto& line : grid.lines) {
    std::vector<std::string> cells = line.cells;
    if (cells.empty()) {
      cells.resize(grid.titles.size());
      cells[0] = "**" + line.heading + "**";
    }
    text += row(cells);
  }
  return text;
}

// Accuracies are shown in percent.
double scale_of(Metric metric) { return metric == Metric::accuracy ? 100 : 1; }
int digits_of(Metric metric) { return metric == Metric::accuracy ? 2 : 4; }

std::string number(double value, Metric metric, bool sign = false) {
  if (std::isnan(value)) return "-";
  value *= scale_of(metric);
  return sign ? fmt::format("{:+.{}f}", value, digits_of(metric))
              : fmt::format("{:.{}f}", value, digits_of(metric));
}

// "1.2345 ±0.0012"
std::string with_spread(const Interval& interval, Metric metric) {
  if (!interval.has_ends()) return number(interval.value, metric);
  return number(interval.value, metric) + " ±" + number(interval.half_width(), metric);
}

std::vector<std::string> value_cells(const ArmSummary& row) {
  std::vector<std::string> cells{
      row.arm, fmt::format("{}", row.runs), format_count(static_cast<double>(row.parameters_trainable)),
      fmt::format("{}", row.cached_numbers_per_token), format_count(row.flops_per_token)};
  for (const auto& [name, metric] : EnumNames<Metric>::rows)
    cells.push_back(with_spread(row.value(metric), metric));
  return cells;
}

std::vector<std::string> difference_cells(const ArmSummary& row, Metric metric, std::string_view name) {
  const double p = row.difference(metric).p;
  const Interval& interval = row.difference(metric).difference;
  const std::string ends = interval.has_ends() ? fmt::format("[{}, {}]", number(interval.low, metric, true),
                                                             number(interval.high, metric, true))
                                               : "-";
  return {row.arm,
          std::string(name) + (metric == Metric::accuracy ? ", points" : ""),
          fmt::format("{}", interval.n),
          number(interval.value, metric, true),
          ends,
          std::isnan(p) ? "-" : fmt::format("{:.2g}", p),
          std::string(name_of(verdict_of(interval)))};
}

// Visits rows under a heading for each sweep point, then the best ones.
template <class AddRow>
void add_groups(Grid& grid, const VerdictTable& table, AddRow&& add_row) {
  const bool swept = !table.best.empty();
  std::string point = "\n";
  for (const auto& row : table.rows) {
    if (swept && row.sweep_point != point) grid.lines.push_back({.heading = row.sweep_point + ":"});
    point = row.sweep_point;
    add_row(row);
  }
  if (swept) grid.lines.push_back({.heading = "best by held-out loss (which is thus a little too good):"});
  for (auto row : table.best) {
    row.arm += " @ " + row.sweep_point;
    add_row(row);
  }
}

Grid value_grid(const VerdictTable& table) {
  Grid grid{
      .titles = {"arm", "runs", "trainable", "cache", "FLOPs", "training loss", "held-out loss", "accuracy %"}};
  add_groups(grid, table, [&](const ArmSummary& row) { grid.lines.push_back({.cells = value_cells(row)}); });
  return grid;
}

Grid difference_grid(const VerdictTable& table) {
  const std::string level = fmt::format("{:g} % interval", 100 * table.confidence);
  Grid grid{.titles = {"minus " + table.baseline, "metric", "pairs", "difference", level, "p", "verdict"}};
  add_groups(grid, table, [&](const ArmSummary& row) {
    if (row.is_baseline) return;
    for (const auto& [name, metric] : EnumNames<Metric>::rows)
      if (!std::isnan(row.value(metric).value))
        grid.lines.push_back({.cells = difference_cells(row, metric, name)});
  });
  return grid;
}

bool has_difference(const VerdictTable& table) {
  return std::any_of(table.rows.begin(), table.rows.end(), [](const auto& row) { return !row.is_baseline; });
}

}  // namespace

std::string format_verdict(const VerdictTable& table, TableStyle style) {
  const auto render = style == TableStyle::text ? as_text : as_markdown;
  std::string text;
  if (table.rows.empty()) text += "No run is finished yet.\n";
  if (!table.rows.empty())
    text += render(value_grid(table)) + fmt::format(
                                            "\nMean ± half of the {:g} % interval over seeds (Student's t). "
                                            "Cache (numbers) and FLOPs: per token.\n",
                                            100 * table.confidence);
  if (has_difference(table))
    text += "\n" + render(difference_grid(table)) +
            "\nPaired t tests over equal seeds; p is not corrected for the number of comparisons.\n";
  if (!table.notes.empty()) text += "\n";
  for (const auto& note : table.notes) text += (style == TableStyle::text ? "" : "- ") + note + "\n";
  if (!table.warnings.empty()) text += "\n";
  for (const auto& warning : table.warnings)
    text += (style == TableStyle::text ? "warning: " : "- Warning: ") + warning + "\n";
  return text;
}

}  // namespace attnlab
