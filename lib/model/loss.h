// Next-token loss.
#pragma once

#include <span>

#include "model/decoder.h"

namespace attnlab {

// One batch on the device. Only positions with a target reach the output matrix.
struct LossInput {
  torch::Tensor ids_BT;       // int64
  torch::Tensor positions_P;  // int64: indices into the B·T positions that have a target
  torch::Tensor targets_P;    // int64: the tokens that follow them
  // Where rows hold several documents that do not see each other: each token's place in its document, and how
  // long that is. Undefined: a row is one sequence.
  torch::Tensor document_positions_BT, document_lengths_BT;
};

// From row-major arrays of rows · columns numbers; targets below 0 are positions without one.
// `document_positions` may be empty.
LossInput make_loss_input(std::span<const int64_t> ids, std::span<const int64_t> targets, int64_t rows,
                          int64_t columns, torch::Device device,
                          std::span<const int64_t> document_positions = {});

// The hidden states behind the final norm where there is a target, [P, D]. `taps` get what the layers gave at
// all positions.
torch::Tensor target_states(Decoder& decoder, const LossInput& input, LayerTaps* taps = nullptr);

// The summed cross-entropy in nats over the positions that have a target; a float32 scalar on the device.
torch::Tensor summed_loss(Decoder& decoder, const LossInput& input);

}  // namespace attnlab
