// Tables of row structs: packs the fields that a struct's visitor names into HDF5 rows and back.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "core/fields.h"
#include "results/hdf5.h"

namespace attnlab {

// The longest prefix of at most `bytes` bytes that does not end inside a UTF-8 character.
std::string_view cut_utf8(std::string_view text, size_t bytes);

namespace detail {

// A row struct may name, in `added_later`, columns that tables of older files lack: rows read from those have
// the default there.
template <class Row>
bool is_later(std::string_view column) {
  if constexpr (requires { Row::added_later; })
    return std::find(Row::added_later.begin(), Row::added_later.end(), column) != Row::added_later.end();
  return false;
}

struct ColumnLister {
  const std::vector<int64_t>& text_bytes;
  std::vector<hdf5::Column>& out;
  bool (*later)(std::string_view);
  size_t texts = 0;

  void operator()(const Key& key, const int64_t&) { add(key, hdf5::Column::Kind::integer, 8); }
  void operator()(const Key& key, const double&) { add(key, hdf5::Column::Kind::number, 8); }
  void operator()(const Key& key, const std::string&) {
    const size_t bytes = texts < text_bytes.size() ? static_cast<size_t>(text_bytes[texts]) : 1;
    ++texts;
    add(key, hdf5::Column::Kind::text, bytes);
  }
  void add(const Key& key, hdf5::Column::Kind kind, size_t bytes) {
    out.push_back({.name = std::string(key.name), .kind = kind, .bytes = bytes, .later = later(key.name)});
  }
};

struct Packer {
  const std::vector<hdf5::Column>& columns;
  char* at;
  size_t column = 0;

  template <class Number>
  void operator()(const Key&, const Number& value) {
    std::memcpy(at, &value, sizeof value);
    at += columns[column++].bytes;
  }
  void operator()(const Key&, const std::string& text) {
    const size_t bytes = columns[column++].bytes;
    const std::string_view kept = cut_utf8(text, bytes);
    std::memset(at, 0, bytes);
    std::memcpy(at, kept.data(), kept.size());
    at += bytes;
  }
};

struct Unpacker {
  const std::vector<hdf5::Column>& columns;
  const char* at;
  size_t column = 0;

  template <class Number>
  void operator()(const Key&, Number& value) {
    const size_t bytes = columns[column++].bytes;
    if (bytes == 0) return;
    std::memcpy(&value, at, sizeof value);
    at += bytes;
  }
  void operator()(const Key&, std::string& text) {
    const size_t bytes = columns[column++].bytes;
    if (bytes == 0) return;
    text.assign(at, bytes);
    text.erase(text.find_last_not_of('\0') + 1);
    at += bytes;
  }
};

}  // namespace detail

// The columns of a row struct; `text_bytes` are the widths of its texts in order.
template <class Row>
std::vector<hdf5::Column> columns_of(const std::vector<int64_t>& text_bytes = {}) {
  std::vector<hdf5::Column> columns;
  detail::ColumnLister lister{text_bytes, columns, detail::is_later<Row>};
  Row row;
  Row::fields(row, lister);
  return columns;
}

template <class Row>
std::string pack(const hdf5::Table& table, const Row* rows, size_t count) {
  std::string bytes(count * table.row_bytes(), '\0');
  for (size_t i = 0; i < count; ++i) {
    detail::Packer packer{table.columns(), bytes.data() + i * table.row_bytes()};
    Row::fields(rows[i], packer);
  }
  return bytes;
}

// All rows that are in the table now. In pieces, so that a wide table does not need its memory twice.
template <class Row>
std::vector<Row> read_rows(const hdf5::Table& table) {
  const int64_t total = table.rows(), piece = 1024;
  std::vector<Row> rows(static_cast<size_t>(total));
  for (int64_t first = 0; first < total; first += piece) {
    const int64_t count = std::min(piece, total - first);
    const std::string bytes = table.read(first, count);
    for (int64_t i = 0; i < count; ++i) {
      detail::Unpacker unpacker{table.columns(), bytes.data() + static_cast<size_t>(i) * table.row_bytes()};
      Row::fields(rows[static_cast<size_t>(first + i)], unpacker);
    }
  }
  return rows;
}

}  // namespace attnlab
