// The pieces that variants share: rotary position and softmax attention.
#pragma once

#include <torch/torch.h>

namespace attnlab {

struct RotaryTables {
  torch::Tensor cos_BTH, sin_BTH;
};

// cos and sin of position × frequency, frequencies θ^(-2i/H) for i < H/2, both halves alike (RoFormer,
// arXiv 2104.09864, in the half-split layout of Hugging Face's Llama). Computed in float32.
RotaryTables rotary_tables(const torch::Tensor& positions_BT, int64_t head_dim, double theta,
                           torch::ScalarType dtype);

// x cos + rotate_half(x) sin, where rotate_half(x) = [-x2, x1]. x_BNTH; tables [B or 1, T, H].
torch::Tensor apply_rotary(const torch::Tensor& x_BNTH, const torch::Tensor& cos_BTH,
                           const torch::Tensor& sin_BTH);

// [B, T, heads·H] → [B, heads, T, H], a view.
torch::Tensor split_heads(const torch::Tensor& x_BTW, int64_t heads);
// [B, heads, T, H] → [B, T, heads·H].
torch::Tensor merge_heads(const torch::Tensor& x_BNTH);

// softmax(q kᵀ / √H) v with G KV heads shared by N / G query heads each; result [B, N, T, Hv].
// An undefined mask is causal for T = S and open for T = 1.
torch::Tensor attend(const torch::Tensor& q_BNTH, const torch::Tensor& k_BGSH, const torch::Tensor& v_BGSH,
                     const torch::Tensor& mask_B1TS);

// softmax(q kᵀ / √H) as a matrix [B, N, T, S]; for paths that need the weights themselves.
torch::Tensor attention_weights(const torch::Tensor& q_BNTH, const torch::Tensor& k_BNSH,
                                const torch::Tensor& mask_B1TS);

}  // namespace attnlab
