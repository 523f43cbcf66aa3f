// Rows of bench_decode: printed, and kept beside those of other calls.
#pragma once

#include <string>

#include "results/measurements.h"

namespace attnlab {

// The table's head, and a row of it. A row without times says `why`.
std::string decode_table_head();
std::string decode_table_row(const DecodeRow& row, const std::string& why);

// A file of measurements that grows by decode rows, written whole after each.
class DecodeFile {
 public:
  // What is in the file, if there is one; "": nothing is kept. `facts` replace those of earlier calls but for
  // their commands, each of which has a line. Throws InputError.
  DecodeFile(std::string path, FlatFields facts);
  // In place of the row of equal form, shape, dtype, device, context and batch, if there is one.
  void add(const DecodeRow& row);

 private:
  std::string path_;
  Measurements measured_;
};

}  // namespace attnlab
