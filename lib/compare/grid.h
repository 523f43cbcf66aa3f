// Tables for a terminal, Markdown, LaTeX and CSV.
#pragma once

#include <string>
#include <vector>

namespace attnlab {

// A line of cells, or a heading over the lines that follow.
struct Line {
  std::string heading;
  std::vector<std::string> cells;
};

// What the columns behind the first hold: numbers stand to the right, texts to the left.
enum class Columns { numbers, texts };

struct Grid {
  std::vector<std::string> titles;
  std::vector<Line> lines;
  Columns columns = Columns::numbers;
};

// The first column and those with these titles, in the grid's order; a grid that has none of them as it is.
Grid with_columns(const Grid& grid, const std::vector<std::string>& titles);

// The first column to the left, the others to the right, of whatever kind.
std::string as_text(const Grid& grid);
// Cells may hold line breaks, and "|" and "<" are texts.
std::string as_markdown(const Grid& grid);
// A tabular with the rules of the package booktabs; of numbers, made smaller where it is wider than a column of
// the page (package graphicx). Cells are texts: what LaTeX would read as a command is escaped. Of texts, the
// last column breaks its lines.
std::string as_latex(const Grid& grid);
// With headings there is a first column "group" that holds the last one.
std::string as_csv(const Grid& grid);

}  // namespace attnlab
