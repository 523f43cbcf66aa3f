// Tables of the page: in a box that scrolls sideways where the screen is narrow.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "compare/grid.h"
#include "core/fields.h"
#include "report/html.h"

namespace attnlab::report {

// "-" for NaN, else at most `digits` significant digits.
std::string number(double value, int digits = 4);
// A setting as it is read: texts without quotes, all else as in YAML.
std::string plain_text(const FieldValue& value);
// "1 seed", "3 seeds".
std::string count(int64_t n, const std::string& noun);

// The first column names the rows. Columns of words stand to the left, those of numbers to the right. Lines of
// a Grid that are headings span the table.
Html table_of(const Grid& grid, const std::string& caption);
// Cells that hold more than text; all columns stand to the left.
Html table_of(const std::vector<std::string>& titles, const std::vector<std::vector<Html>>& rows,
              const std::string& caption);
// Two columns of texts: a name and what it is.
Html list_table(const std::vector<std::pair<std::string, Html>>& rows, const std::string& caption);

namespace detail {

struct CellWriter {
  std::vector<std::string>& cells;
  void operator()(const Key&, const std::string& value) const { cells.push_back(value); }
  void operator()(const Key&, double value) const { cells.push_back(number(value)); }
  void operator()(const Key&, int64_t value) const { cells.push_back(fmt::format("{}", value)); }
};

struct TitleWriter {
  std::vector<std::string>& titles;
  template <class T>
  void operator()(const Key& key, const T&) const {
    titles.emplace_back(key.name);
  }
};

}  // namespace detail

// Rows of a results file under the names of their columns. The texts, which come last there, go first.
template <class Row>
Grid grid_of(const std::vector<Row>& rows) {
  Grid grid;
  const Row none;
  Row::fields(none, detail::TitleWriter{grid.titles});
  for (const auto& row : rows) Row::fields(row, detail::CellWriter{grid.lines.emplace_back().cells});
  const auto texts = [](std::vector<std::string>& cells, size_t n) {
    std::rotate(cells.begin(), cells.end() - static_cast<std::ptrdiff_t>(n), cells.end());
  };
  size_t n = 0;
  const auto counter = [&n](const Key&, const auto& value) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(value)>, std::string>) ++n;
  };
  Row::fields(none, counter);
  texts(grid.titles, n);
  for (auto& line : grid.lines) texts(line.cells, n);
  return grid;
}

}  // namespace attnlab::report
