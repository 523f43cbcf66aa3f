// The output matrix and the cross-entropy behind it in one operation, in pieces: the logits of all positions
// never exist at once.
#pragma once

#include "tensor/torch.h"

namespace attnlab {

// Σ over positions of -log softmax(cap(h Wᵀ))[target], in nats: a float32 scalar (float64 for float64 inputs).
// hidden_PD [P, D], weight_VD [V, D], targets_P [P] int64. softcap c > 0: logits become c · tanh(logits / c).
// `rows`: positions of a piece; 0: rows_of_a_piece (logit_pieces.h). Products are in the autocast
// format where autocast is on, all else in float32. Gradients are computed with the loss, from the same logits
// (softmax - one-hot), so that nothing is computed twice; they are kept until backward: P·D and, if the weight
// is trained, V·D numbers.
torch::Tensor linear_cross_entropy(const torch::Tensor& hidden_PD, const torch::Tensor& weight_VD,
                                   const torch::Tensor& targets_P, double softcap = 0, int64_t rows = 0);

}  // namespace attnlab
