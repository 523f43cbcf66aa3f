// The weights of attention with capped scores, and their gradient: on a GPU each in one kernel.
#pragma once

#include <utility>

#include "tensor/torch.h"

namespace attnlab {

// Rows of scores of b = B · G KV heads, u = scale · q·k / c: [b, n·t, K] for n heads with t queries each;
// float32 or wider, contiguous.
struct CappedScores {
  torch::Tensor scores_bRK;
  double cap = 0;  // c
  int64_t B = 0, t = 0;
  // bool, to be broadcast over [B, G, n, t, some]: which of so many last keys may not be looked at; undefined:
  // none.
  torch::Tensor hidden;
};

// softmax(c · tanh(u)), in this format.
torch::Tensor capped_weights(const CappedScores& of, torch::ScalarType format);

// Those weights, and from their gradient dp that of c · u, p (dp - Σ p dp) (1 - tanh²(u)), both in this format.
std::pair<torch::Tensor, torch::Tensor> capped_gradients(const CappedScores& of, const torch::Tensor& dweights,
                                                         torch::ScalarType format);

}  // namespace attnlab
