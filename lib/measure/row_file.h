// A file of measurements that grows by rows of one kind, written whole after each.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "results/measurements.h"

namespace attnlab {

// What is in the file, if there is one. `facts` replace those of earlier calls but for their commands, each of
// which has a line. Throws InputError.
Measurements measurements_to_grow(const std::string& path, FlatFields facts);

// `row_key(row)` tells which rows are of the same measurement.
template <class Row>
class RowFile {
 public:
  // "": nothing is kept. Throws InputError.
  RowFile(std::string path, FlatFields facts, std::vector<Row> Measurements::*rows)
      : path_(std::move(path)), rows_(rows) {
    if (!path_.empty()) measured_ = measurements_to_grow(path_, std::move(facts));
  }
  bool has(const Row& row) { return place_of(row) != rows().end(); }
  // In place of the row of the same measurement, if there is one.
  void add(const Row& row) {
    if (path_.empty()) return;
    const auto same = place_of(row);
    if (same == rows().end())
      rows().push_back(row);
    else
      *same = row;
    write_measurements(path_, measured_);
  }

 private:
  std::vector<Row>& rows() { return measured_.*rows_; }
  auto place_of(const Row& row) {
    return std::find_if(rows().begin(), rows().end(), [&](const Row& r) { return row_key(r) == row_key(row); });
  }

  std::string path_;
  std::vector<Row> Measurements::*rows_;
  Measurements measured_;
};

}  // namespace attnlab
