// Sequences that grow by a token a step.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model/decoder.h"

namespace attnlab {

class DecodingBatch {
 public:
  virtual ~DecodingBatch() = default;
  // Logits [B, V] of the token after each prompt.
  virtual torch::Tensor prefill() = 0;
  // Appends tokens to each row, [B, T]; logits [B, V] of the one after them. They go through the decoder as one
  // pass (in pieces where a prompt would): what policies do behind a prompt is done already.
  virtual torch::Tensor extend(const torch::Tensor& tokens_BT) = 0;
  torch::Tensor step(const torch::Tensor& tokens_B) { return extend(tokens_B.unsqueeze(1)); }
  // Keeps only these rows, in this order.
  virtual void keep(const std::vector<int64_t>& rows) = 0;
  // Lets more prompts in behind the rows that are there; logits [prompts, V] of the token after each.
  virtual torch::Tensor enter(const std::vector<std::vector<int64_t>>& prompts) = 0;
  // Bytes of all that is kept.
  virtual int64_t bytes() const = 0;
};

// Prompts of at least one token each, and room for `capacity` more, in the form that the plan needs: a
// PaddedBatch, or a LazyBatch where tokens leave layers. `chunk`: tokens of a prompt that go through a layer at
// a time. Throws InputError as their constructors do.
std::unique_ptr<DecodingBatch> make_batch(Decoder& decoder, const std::vector<std::vector<int64_t>>& prompts,
                                          int64_t capacity, int64_t chunk, const CachePlan& plan = {});

// Throws InputError where a cache that drops tokens meets rotary frequencies that change while texts grow from
// these lengths by `capacity` tokens: all keys would be made anew.
void require_lasting_frequencies(const Decoder& decoder, const std::vector<int64_t>& lengths, int64_t capacity);

}  // namespace attnlab
