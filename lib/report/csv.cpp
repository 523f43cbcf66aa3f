#include "report/csv.h"

#include <algorithm>

namespace attnlab::report {
namespace {

// Takes one line off the front of `csv`.
std::vector<std::string> next_line(std::string_view& csv) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  size_t i = 0;
  for (; i < csv.size(); ++i) {
    const char c = csv[i];
    if (c == '"' && quoted && i + 1 < csv.size() && csv[i + 1] == '"') {
      fields.back() += csv[++i];
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else if (c == '\n' && !quoted) {
      break;
    } else if (c != '\r' || quoted) {
      fields.back() += c;
    }
  }
  csv.remove_prefix(std::min(csv.size(), i + 1));
  return fields;
}

}  // namespace

Grid read_csv(std::string_view csv, size_t most_rows, size_t& left_out) {
  Grid grid;
  left_out = 0;
  grid.titles = next_line(csv);
  while (!csv.empty()) {
    auto fields = next_line(csv);
    if (grid.lines.size() == most_rows) {
      ++left_out;
      continue;
    }
    fields.resize(grid.titles.size());
    grid.lines.push_back({.cells = std::move(fields)});
  }
  return grid;
}

}  // namespace attnlab::report
