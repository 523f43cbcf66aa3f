// Tables for a terminal and for Markdown.
#pragma once

#include <string>
#include <vector>

namespace attnlab {

// A line of cells, or a heading over the lines that follow.
struct Line {
  std::string heading;
  std::vector<std::string> cells;
};

struct Grid {
  std::vector<std::string> titles;
  std::vector<Line> lines;
};

// The first column to the left, the others to the right.
std::string as_text(const Grid& grid);
std::string as_markdown(const Grid& grid);

}  // namespace attnlab
