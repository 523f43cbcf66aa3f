// Causal attention on CPUs with AVX2 or AVX-512, in float32: scores of a few queries at a time, grouped heads
// and both passes without copies. Where it fits it takes the place of torch's fused attention, whose products
// are too small for a BLAS.
#pragma once

#include "tensor/torch.h"

namespace attnlab {

// float32 on a CPU whose vectors have loops (not with ATEN_CPU_CAPABILITY=default), no autocast, one width of
// heads that is a multiple of 32 up to 256, N a multiple of G, T = S, and T such that rows of scores fit a
// cache.
bool fits_causal_attention(const torch::Tensor& q_BNTH, const torch::Tensor& k_BGSH,
                           const torch::Tensor& v_BGSH);
// softmax(scale · q kᵀ) v, in which a query sees the keys up to its own: [B, N, T, H], where a token's heads
// lie side by side. Differentiable once. Results don't depend on the number of threads.
torch::Tensor causal_attention(const torch::Tensor& q_BNTH, const torch::Tensor& k_BGSH,
                               const torch::Tensor& v_BGSH, double scale);

}  // namespace attnlab
