// Tables of row structs that are written at once and never grow.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "results/run_layout.h"
#include "results/table.h"

namespace attnlab {
namespace detail {

// Each text column is as wide as its longest text.
struct WidestTexts {
  std::vector<int64_t> widths;
  size_t column = 0;

  template <class Number>
  void operator()(const Key&, const Number&) {}
  void operator()(const Key&, const std::string& text) {
    const int64_t width = std::clamp<int64_t>(static_cast<int64_t>(text.size()), 1, most_text_bytes);
    widths[column] = std::max(widths[column], width);
    ++column;
  }
};

}  // namespace detail

// Texts longer than most_text_bytes are cut at a character. Throws hdf5::Error.
template <class Row>
void write_table(hid_t parent, const std::string& name, const std::vector<Row>& rows) {
  detail::WidestTexts widest;
  for (const auto& column : columns_of<Row>())
    if (column.kind == hdf5::Column::Kind::text) widest.widths.push_back(1);
  for (const auto& row : rows) {
    widest.column = 0;
    Row::fields(row, widest);
  }
  const int64_t chunk = std::clamp<int64_t>(static_cast<int64_t>(rows.size()), 1, 4096);
  auto table = hdf5::Table::create(parent, name, columns_of<Row>(widest.widths), chunk, true);
  if (!rows.empty()) table.write(0, pack(table, rows.data(), rows.size()));
  table.flush();
}

// No such table: no rows.
template <class Row>
std::vector<Row> read_table(hid_t parent, const std::string& name) {
  if (!hdf5::Table::exists(parent, name)) return {};
  return read_rows<Row>(hdf5::Table::open(parent, name, columns_of<Row>()));
}

}  // namespace attnlab
