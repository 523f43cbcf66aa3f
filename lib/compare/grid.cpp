#include "compare/grid.h"

#include <fmt/format.h>

#include <algorithm>

#include "compare/latex.h"
#include "core/csv.h"
#include "core/names.h"

namespace attnlab {
namespace {

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

std::string markdown_character(char c) {
  switch (c) {
    case '|':
      return "\\|";
    case '<':
      return "&lt;";
    case '\n':
      return "<br>";
    default:
      return {c};
  }
}

using Escape = std::string (*)(char);

std::string escaped(const std::string& text, Escape escape) {
  std::string out;
  for (const char c : text) out += escape(c);
  return out;
}

std::vector<std::string> escaped(const std::vector<std::string>& texts, Escape escape) {
  std::vector<std::string> out;
  for (const auto& text : texts) out.push_back(escaped(text, escape));
  return out;
}

// Of an as_latex table: the first column to the left, the others to the right.
std::string number_columns(const Grid& grid) { return "l" + std::string(grid.titles.size() - 1, 'r'); }

// Together as wide as a column of the page: the last one takes what names and words before it leave. A
// character of this size takes about a fiftieth of a column, and what is longer breaks.
std::string text_columns(const Grid& grid) {
  constexpr double character = 0.02, most = 0.2, all = 0.9;
  std::string format;
  double left = all;
  for (size_t i = 0; i + 1 < grid.titles.size(); ++i) {
    size_t longest = width_of(grid.titles[i]);
    for (const auto& line : grid.lines)
      if (!line.cells.empty()) longest = std::max(longest, width_of(line.cells[i]));
    const double width = std::min(most, character * static_cast<double>(longest));
    format += fmt::format("p{{{:.3f}\\linewidth}}", width);
    left -= width;
  }
  return format + fmt::format("p{{{:.3f}\\linewidth}}", left);
}

}  // namespace

Grid with_columns(const Grid& grid, const std::vector<std::string>& titles) {
  std::vector<size_t> kept;
  for (size_t i = 1; i < grid.titles.size(); ++i)
    if (std::find(titles.begin(), titles.end(), grid.titles[i]) != titles.end()) kept.push_back(i);
  if (kept.empty()) return grid;
  kept.insert(kept.begin(), 0);
  const auto chosen = [&](const std::vector<std::string>& cells) {
    std::vector<std::string> out;
    for (const size_t i : kept)
      if (i < cells.size()) out.push_back(cells[i]);
    return out;
  };
  Grid out{.titles = chosen(grid.titles), .columns = grid.columns};
  for (const auto& line : grid.lines)
    out.lines.push_back({.heading = line.heading, .cells = chosen(line.cells)});
  return out;
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
  std::vector<std::string> rule(grid.titles.size(), grid.columns == Columns::numbers ? "---:" : "---");
  rule[0] = "---";
  std::string text = row(escaped(grid.titles, markdown_character)) + row(rule);
  for (const auto& line : grid.lines) {
    std::vector<std::string> cells = escaped(line.cells, markdown_character);
    if (cells.empty()) {
      cells.resize(grid.titles.size());
      cells[0] = "**" + escaped(line.heading, markdown_character) + "**";
    }
    text += row(cells);
  }
  return text;
}

std::string as_latex(const Grid& grid) {
  const bool texts = grid.columns == Columns::texts;
  const auto written = texts ? latex_breakable : latex_text;
  const auto row = [&](const std::vector<std::string>& cells) {
    std::vector<std::string> escaped_cells;
    for (const auto& cell : cells) escaped_cells.push_back(written(cell));
    std::string text = join(escaped_cells, " & ");
    if (text.starts_with('[')) text = "{}" + text;  // behind a line's end a bracket would be its argument
    return text + " \\\\\n";
  };
  const char* fit = "\\resizebox{\\ifdim\\width>\\columnwidth\\columnwidth\\else\\width\\fi}{!}{%\n";
  std::string text = texts ? "\\footnotesize\\setlength{\\tabcolsep}{2pt}\n" : fit;
  text += "\\begin{tabular}{" + (texts ? text_columns(grid) : number_columns(grid)) + "}\n\\toprule\n" +
          row(grid.titles) + "\\midrule\n";
  for (const auto& line : grid.lines) {
    const bool first = &line == &grid.lines.front();
    if (!line.cells.empty()) {
      text += row(line.cells);
      continue;
    }
    text += first ? "" : "\\addlinespace\n";
    text += "\\multicolumn{" + std::to_string(grid.titles.size()) + (texts ? "}{p{0.95\\linewidth}}" : "}{l}");
    text += "{\\textbf{" + written(line.heading) + "}} \\\\\n";
  }
  return text + "\\bottomrule\n\\end{tabular}" + (texts ? "\n" : "}\n");
}

std::string as_csv(const Grid& grid) {
  const bool grouped =
      std::any_of(grid.lines.begin(), grid.lines.end(), [](const Line& line) { return line.cells.empty(); });
  const auto row = [&](const std::string& group, const std::vector<std::string>& cells) {
    std::vector<std::string> fields;
    if (grouped) fields.push_back(csv_text(group));
    for (const auto& cell : cells) fields.push_back(csv_text(cell));
    return join(fields, ",") + "\n";
  };
  std::string text = row("group", grid.titles), group;
  for (const auto& line : grid.lines)
    if (line.cells.empty())
      group = line.heading;
    else
      text += row(group, line.cells);
  return text;
}

}  // namespace attnlab
