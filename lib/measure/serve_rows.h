// Rows of bench_serve: printed, and kept beside those of other calls.
#pragma once

#include <string>

#include "measure/row_file.h"
#include "results/measurements.h"

namespace attnlab {

// The table's head, and a row of it. A row without times says `why`.
std::string serve_table_head();
std::string serve_table_row(const ServeRow& row, const std::string& why);

// Form, shape, dtype, device, context, requests, memory, and the batch if it was given.
std::string row_key(const ServeRow& row);

class ServeFile : public RowFile<ServeRow> {
 public:
  ServeFile(std::string path, FlatFields facts)
      : RowFile(std::move(path), std::move(facts), &Measurements::served) {}
};

}  // namespace attnlab
