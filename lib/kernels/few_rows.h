// Products of few rows, as a decoding step has them: what takes time is reading W once.
#pragma once

#include "tensor/torch.h"

namespace attnlab {

// x Wᵀ (+ bias) as torch::linear has it: x [..., K], W [N, K], bias [N] or undefined. On a GPU, for up to 16
// rows of bfloat16 that ask for no gradient, without autocast, by a kernel whose sums are float32, rounded
// once: equal calls give equal bits.
torch::Tensor linear_of_rows(const torch::Tensor& x, const torch::Tensor& weight,
                             const torch::Tensor& bias = {});
// Whether that kernel takes them.
bool fits_few_rows(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias = {});

}  // namespace attnlab
