// The file of measure_conversion as it grows: what a call before measured is there already.
#pragma once

#include <string>
#include <vector>

#include "results/measurements.h"

namespace attnlab {

class ConversionFile {
 public:
  // `facts`: of this call and of its base. `asked`: what is to be measured, as text. A file that was begun for
  // the same is gone on with; any other one is replaced at the first write.
  ConversionFile(std::string path, FlatFields facts, std::string asked);

  // Of all conversions of the plan, those whose rows are there; -1: not even norms and Gram matrices are.
  int64_t done() const { return done_; }
  int64_t freqfold() const { return freqfold_; }
  const std::vector<ConversionRow>& rows() const { return measured_.conversions; }

  // Writes the file.
  void begin(int64_t freqfold, std::vector<NormRow> norms, std::vector<GramRow> grams);
  // The rows of one conversion more; writes the file.
  void add(std::vector<ConversionRow> rows);

 private:
  void write();

  std::string path_, asked_;
  FlatFields facts_;
  Measurements measured_;
  int64_t done_ = -1, freqfold_ = 0;
};

}  // namespace attnlab
