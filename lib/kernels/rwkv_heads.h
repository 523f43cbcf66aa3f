// What RWKV's layers compute head by head beside their recurrence, in a kernel each, on a GPU where the build
// has CUDA. Shapes: B batch, T tokens, W = heads · 64 channels.
#pragma once

#include "tensor/torch.h"

namespace attnlab {

// Whether these take x, and y's of its format: a GPU with kernels of our own, heads of 64 numbers.
bool fits_rwkv_heads(const torch::Tensor& x_BTW, int64_t head_dim);

// RWKV-7's inputs of its recurrence (rwkv7.h), float32: from keys k', the lora parts w' and a' of w and α, all
// of one format, and the vectors w₀, a₀, k_k, k_a [4, W]:
//   w = -e^-½ σ(w₀ + w'), α = σ(a₀ + a'), κ = k' ⊙ k_k normed by head, a = -κ, b = κ ⊙ α,
//   k = k' ⊙ (1 + (α - 1) k_a)
// Differentiable once.
struct Wkv7Prepared {
  torch::Tensor w_BTW, k_BTW, a_BTW, b_BTW;
};
Wkv7Prepared prepare_wkv7(const torch::Tensor& k_BTW, const torch::Tensor& w_lora_BTW,
                          const torch::Tensor& a_lora_BTW, const torch::Tensor& vectors_4W);

// RWKV-6's log decay -exp(w₀ + w'), float32, of its lora part w'. Differentiable once.
torch::Tensor rwkv6_decay(const torch::Tensor& w_lora_BTW, const torch::Tensor& w0_W);

// (norm(o) + (Σ_head r k r_k) v) ⊙ gate, or without r, k and v norm(o) ⊙ silu(gate): in the format of the gate,
// which r and v have, too; o and k float32. norm: by head, with weight and bias; vectors [weight, bias, r_k] or
// [weight, bias]. Differentiable once.
struct RwkvOutput {
  torch::Tensor o_BTW, gate_BTW, vectors_nW;
  double eps = 0;
  torch::Tensor r_BTW, k_BTW, v_BTW;
};
torch::Tensor rwkv_output(const RwkvOutput& in);

}  // namespace attnlab
