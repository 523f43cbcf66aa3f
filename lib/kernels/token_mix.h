// RWKV's token shift as a kernel, on a GPU where the build has CUDA.
#pragma once

#include <vector>

#include "tensor/torch.h"

namespace attnlab {

// Whether token_mix takes x [B, T, D] and n mixes: a GPU with kernels of our own, float32 or bfloat16, D a
// multiple of 4, n 1, 5 or 6.
bool fits_token_mix(const torch::Tensor& x_BTD, int64_t n);
// x + (x̄ - x) ⊙ (μ_y + m_y) for each of n mixes y, in x's format; x̄ the token before, 0 where a document begins
// (`begins` bool [B or 1, T]; undefined: none) and before the first. m in x's format; undefined: 0.
// Differentiable once.
std::vector<torch::Tensor> token_mix(const torch::Tensor& x_BTD, const torch::Tensor& mu_nD,
                                     const torch::Tensor& m_nBTD, const torch::Tensor& begins_BT);

}  // namespace attnlab
