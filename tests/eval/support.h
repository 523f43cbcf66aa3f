// What the evaluation tests share: a decoder over the byte tokenizer's vocabulary, and examples in memory.
#pragma once

#include <vector>

#include "byte_tokenizer.h"
#include "data/batch.h"
#include "data/dataset.h"
#include "small_decoder.h"

namespace attnlab::test {

class ExampleList : public Dataset {
 public:
  explicit ExampleList(std::vector<Example> examples) : examples_(std::move(examples)) {}
  int64_t size() const override { return static_cast<int64_t>(examples_.size()); }
  Example get(int64_t index) const override { return examples_.at(static_cast<size_t>(index)); }

 private:
  std::vector<Example> examples_;
};

// The small decoder with one embedding per token of byte_tokenizer().
DecoderConfig byte_config();

// Small problems with prompts and answers of many lengths; answers end in "#### N", gold is N.
std::vector<Example> ragged_problems();
// Their batches, in order.
std::vector<Batch> batches(BatchConfig config);

}  // namespace attnlab::test
