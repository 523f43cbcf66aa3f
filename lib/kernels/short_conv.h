// The short causal convolution of Mamba as a kernel, on a GPU where the build has CUDA.
#pragma once

#include "tensor/torch.h"

namespace attnlab {

// Whether short_conv takes these: a GPU with kernels of our own, x float32 or bfloat16, w [C, K] float32 with K
// from 2 to 4, C a multiple of 4.
bool fits_short_conv(const torch::Tensor& x_BTC, const torch::Tensor& weight_CK);
// y_t = Σ_j w_j x_{t-K+1+j} + b for each channel, float32. Inputs before the first token, and before a
// document's start
// (`begins` bool [B or 1, T]; undefined: none), count as 0; bias: may be undefined. Differentiable once.
torch::Tensor short_conv(const torch::Tensor& x_BTC, const torch::Tensor& weight_CK,
                         const torch::Tensor& bias_C, const torch::Tensor& begins_BT);

}  // namespace attnlab
