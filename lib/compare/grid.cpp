#include "compare/grid.h"

#include <algorithm>

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

}  // namespace

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

}  // namespace attnlab
