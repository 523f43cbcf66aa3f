// The gate on a recurrence's outputs as a kernel, on a GPU where the build has CUDA.
#pragma once

#include "tensor/torch.h"

namespace attnlab {

// y ⊙ silu(z) of y [B, T, W] in float32, in z's format, float32 or bfloat16: rounded once. Differentiable once.
// Only where fits_output_gate: a GPU with kernels of our own, these formats, W a multiple of 4.
bool fits_output_gate(const torch::Tensor& y_BTW, const torch::Tensor& z_BTW);
torch::Tensor output_gate(const torch::Tensor& y_BTW, const torch::Tensor& z_BTW);

}  // namespace attnlab
