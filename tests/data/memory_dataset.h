// Examples in memory as a dataset.
#pragma once

#include <utility>
#include <vector>

#include "data/dataset.h"

namespace attnlab::test {

class MemoryDataset : public Dataset {
 public:
  explicit MemoryDataset(std::vector<Example> examples) : examples_(std::move(examples)) {}
  int64_t size() const override { return static_cast<int64_t>(examples_.size()); }
  Example get(int64_t index) const override { return examples_.at(static_cast<size_t>(index)); }

 private:
  std::vector<Example> examples_;
};

}  // namespace attnlab::test
