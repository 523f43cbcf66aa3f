// Rows of bench_decode: printed, and kept beside those of other calls.
#pragma once

#include <string>

#include "measure/row_file.h"
#include "results/measurements.h"

namespace attnlab {

// "16", "384 (largest in 24 GiB)", "16 (in 24 GiB)".
std::string batch_cell(int64_t batch, bool found, double memory_limit);

// The table's head, and a row of it. A row without times says `why`.
std::string decode_table_head();
std::string decode_table_row(const DecodeRow& row, const std::string& why);

// Form, shape, dtype, device, context, memory, and the batch if it was given.
std::string row_key(const DecodeRow& row);

class DecodeFile : public RowFile<DecodeRow> {
 public:
  DecodeFile(std::string path, FlatFields facts)
      : RowFile(std::move(path), std::move(facts), &Measurements::decode_steps) {}
};

}  // namespace attnlab
