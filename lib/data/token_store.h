// Tokenised examples.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/batch.h"

namespace attnlab {

// bos, prompt, answer, eos. Prompt and answer are encoded apart, as generation will see them. An answer that
// ends with eos itself, as chat formats may, gets no second one.
struct TokenisedExample {
  std::vector<int32_t> tokens;
  int64_t prompt_length = 0;  // tokens before the answer, bos included
};

TokenisedExample tokenise(const Example& example, const Tokenizer& tokenizer, const BatchConfig& config);

// Examples 0 … count-1 of a dataset, tokenised by several threads and stored one behind the other.
class TokenStore {
 public:
  TokenStore(const Dataset& dataset, int64_t count, const Tokenizer& tokenizer, const BatchConfig& config);
  int64_t size() const { return static_cast<int64_t>(prompt_lengths_.size()); }
  std::span<const int32_t> tokens(int64_t index) const;
  int64_t prompt_length(int64_t index) const { return prompt_lengths_[static_cast<size_t>(index)]; }
  int64_t total_tokens() const { return static_cast<int64_t>(tokens_.size()); }

 private:
  std::vector<int32_t> tokens_;
  std::vector<int64_t> starts_{0};
  std::vector<int64_t> prompt_lengths_;
};

// Rows become a batch. `length` tokens give length - 1 positions; targets begin at token `first_target`.
struct Row {
  std::vector<int32_t> tokens;
  int64_t first_target = 1;
};
Batch make_batch(const std::vector<Row>& rows, int64_t pad_id);

// One example as a row: cut off at sequence_length positions, the prompt masked unless loss_on_prompt.
Row make_row(std::span<const int32_t> tokens, int64_t prompt_length, const BatchConfig& config);

}  // namespace attnlab
