// The numbers that a figure shows, by column.
#pragma once

#include <cmath>
#include <map>
#include <sstream>

#include "sample_runs.h"

namespace attnlab::test {

// CSVs hold the shortest text that reads back to the same double, and both sides add up at most 15 numbers of
// size 2 or percents below 100 in an order of their own: 15 · 100 · 2^-53 = 2e-13.
constexpr double rounding = 1e-12;
inline bool near(double a, double b) { return std::abs(a - b) <= rounding; }

using CsvRow = std::map<std::string, std::string>;

inline std::vector<std::string> csv_cells(const std::string& line) {
  std::vector<std::string> cells{""};
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') quoted = !quoted;
    if (c == ',' && !quoted) cells.emplace_back();
    if (c != '"' && (c != ',' || quoted)) cells.back() += c;
  }
  return cells;
}

inline std::vector<CsvRow> read_csv(const std::filesystem::path& path) {
  std::istringstream lines(read_file(path));
  std::string line;
  std::getline(lines, line);
  const std::vector<std::string> header = csv_cells(line);
  std::vector<CsvRow> rows;
  while (std::getline(lines, line)) {
    const std::vector<std::string> cells = csv_cells(line);
    REQUIRE(cells.size() == header.size());
    CsvRow& row = rows.emplace_back();
    for (size_t i = 0; i < header.size(); ++i) row[header[i]] = cells[i];
  }
  return rows;
}

// The one row of an arm, at a step if `step` is not empty.
inline CsvRow row_of(const std::vector<CsvRow>& rows, const std::string& arm, const std::string& step = "") {
  std::vector<CsvRow> found;
  for (const CsvRow& row : rows)
    if (row.at("arm") == arm && (step.empty() || row.at("step") == step)) found.push_back(row);
  REQUIRE(found.size() == 1);
  return found[0];
}

inline double number(const CsvRow& row, const std::string& column) {
  INFO(column);
  REQUIRE(!row.at(column).empty());
  return std::stod(row.at(column));
}

}  // namespace attnlab::test
