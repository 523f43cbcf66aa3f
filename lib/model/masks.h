// Which tokens a query may look at, for layers with and without a sliding window.
#pragma once

#include <torch/torch.h>

namespace attnlab {

// Both bool [B or 1, 1, T, S], or undefined where plain causal attention is meant (see attend.h).
struct LayerMasks {
  torch::Tensor full_B1TS, window_B1TS;
};

// T new tokens at the end of S. `given` (undefined: causal, no padding) already is causal; the window is laid
// over it: a query at place t sees the places t - window + 1 … t. window 0: no layer has one.
LayerMasks make_masks(const torch::Tensor& given_B1TS, int64_t T, int64_t S, int64_t window,
                      torch::Device device);

// Rows that hold several documents side by side, from each token's place in its document: a query sees its own
// document up to itself. int64 [B, T] → bool [B, 1, T, T].
torch::Tensor document_mask(const torch::Tensor& positions_BT);

}  // namespace attnlab
