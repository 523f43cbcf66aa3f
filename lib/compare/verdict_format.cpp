#include "compare/verdict_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "core/progress.h"

namespace attnlab {
namespace {

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

// An interval of shares is not symmetric: "50.00 [36.21, 63.79]".
std::string with_ends(const Interval& interval, Metric metric) {
  if (!interval.has_ends()) return number(interval.value, metric);
  return fmt::format("{} [{}, {}]", number(interval.value, metric), number(interval.low, metric),
                     number(interval.high, metric));
}

// Files of older versions don't say what a sequence keeps.
bool has_bytes(const VerdictTable& table) {
  return std::any_of(table.rows.begin(), table.rows.end(), [](const auto& row) { return row.cache_bytes; });
}

// The context of all rows' bytes; nullopt: they differ, and stand in the cells.
std::optional<int64_t> common_context(const VerdictTable& table) {
  std::set<int64_t> contexts;
  for (const auto& row : table.rows)
    if (row.cache_bytes) contexts.insert(*row.cache_context);
  return contexts.size() == 1 ? std::optional(*contexts.begin()) : std::nullopt;
}

std::string bytes_cell(const ArmSummary& row, bool with_context) {
  if (!row.cache_bytes) return "-";
  const std::string bytes = format_count(*row.cache_bytes) + "B";
  return with_context ? bytes + " at " + format_count(static_cast<double>(*row.cache_context)) : bytes;
}

std::vector<std::string> value_cells(const ArmSummary& row, bool with_bytes, bool with_context) {
  std::vector<std::string> cells{row.arm, fmt::format("{}", row.runs),
                                 format_count(static_cast<double>(row.parameters_trainable)),
                                 fmt::format("{}", row.cached_numbers_per_token)};
  if (with_bytes) cells.push_back(bytes_cell(row, with_context));
  cells.push_back(format_count(row.flops_per_token));
  for (const auto& [name, metric] : EnumNames<Metric>::rows)
    cells.push_back(metric == Metric::accuracy ? with_ends(row.value(metric), metric)
                                               : with_spread(row.value(metric), metric));
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
          verdict_words(interval, metric == Metric::accuracy)};
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

}  // namespace

Grid value_grid(const VerdictTable& table) {
  const bool bytes = has_bytes(table);
  Grid grid{.titles = {"arm", "runs", "trainable", "cache"}};
  if (bytes) grid.titles.emplace_back("kept");
  grid.titles.insert(grid.titles.end(), {"FLOPs", "training loss", "held-out loss", "accuracy %"});
  const bool contexts = !common_context(table);
  add_groups(grid, table, [&](const ArmSummary& row) {
    grid.lines.push_back({.cells = value_cells(row, bytes, contexts)});
  });
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

namespace {

bool shows(const VerdictTable& table, Metric metric) {
  return std::any_of(table.rows.begin(), table.rows.end(),
                     [&](const auto& row) { return !std::isnan(row.value(metric).value); });
}

bool has_difference(const VerdictTable& table) {
  return std::any_of(table.rows.begin(), table.rows.end(), [](const auto& row) { return !row.is_baseline; });
}

}  // namespace

std::string value_note(const VerdictTable& table) {
  std::string note =
      fmt::format("Mean ± half of the {:g} % interval over seeds (Student's t).", 100 * table.confidence);
  note += " Cache (numbers) and FLOPs: per token.";
  if (has_bytes(table)) {
    const auto context = common_context(table);
    note += " Kept: bytes of one sequence's cache" + (context ? fmt::format(" at {} tokens.", *context) : ".");
  }
  if (shows(table, Metric::accuracy))
    note += fmt::format(
        "\nAccuracies: their {:g} % interval for other seeds and other problems (two-way random effects).",
        100 * table.confidence);
  return note;
}

std::string difference_note(const VerdictTable& table) {
  std::string note = "Paired t tests over equal seeds";
  if (shows(table, Metric::accuracy)) note += ", of accuracies over seeds and problems";
  note += "; p is not corrected for the number of comparisons.";
  for (const auto& row : table.rows)
    for (const auto& difference : row.differences)
      if (verdict_of(difference.difference) == Verdict::no_interval)
        return note + "\nNo interval: seeds that do not differ tell nothing of their scatter.";
  return note;
}

std::string format_verdict(const VerdictTable& table, TableStyle style) {
  const auto render = style == TableStyle::text ? as_text : as_markdown;
  std::string text;
  if (table.rows.empty()) text += "No run is finished yet.\n";
  if (!table.rows.empty()) text += render(value_grid(table)) + "\n" + value_note(table) + "\n";
  if (has_difference(table)) {
    text += "\n";
    text += render(difference_grid(table));
    text += "\n" + difference_note(table) + "\n";
  }
  if (!table.notes.empty()) text += "\n";
  for (const auto& note : table.notes) text += (style == TableStyle::text ? "" : "- ") + note + "\n";
  if (!table.warnings.empty()) text += "\n";
  for (const auto& warning : table.warnings)
    text += (style == TableStyle::text ? "warning: " : "- Warning: ") + warning + "\n";
  return text;
}

}  // namespace attnlab
