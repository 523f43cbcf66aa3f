#include "attention/deepseek_attention.h"

#include <cmath>

namespace attnlab {
namespace {
// Hugging Face's modules build the norms of the latents with this, whatever rms_norm_eps says.
constexpr double kLatentNormEps = 1e-6;
}  // namespace

DeepseekAttention::DeepseekAttention(const AttentionShape& shape, const DeepseekForm& form, bool absorb)
    : Attention(shape), mla_(form.sizes), absorb_(absorb), score_(form.score) {
  const int64_t D = shape.d_model, N = shape.n_heads,
                qk_head_dim = mla_.qk_nope_head_dim + mla_.qk_rope_head_dim;
  if (score_.scale <= 0) score_.scale = 1 / std::sqrt(static_cast<double>(qk_head_dim));
  if (mla_.q_lora_rank == 0) {
    q_proj_ = register_module("q_proj", Linear(D, N * qk_head_dim, form.q_bias));
  } else {
    q_a_proj_ = register_module("q_a_proj", Linear(D, mla_.q_lora_rank, form.q_a_bias));
    if (form.norms) q_a_norm_ = register_module("q_a_layernorm", RmsNorm(mla_.q_lora_rank, kLatentNormEps));
    q_b_proj_ = register_module("q_b_proj", Linear(mla_.q_lora_rank, N * qk_head_dim, form.q_bias));
  }
  kv_a_proj_ = register_module("kv_a_proj_with_mqa",
                               Linear(D, mla_.kv_lora_rank + mla_.qk_rope_head_dim, form.kv_a_bias));
  if (form.norms) kv_a_norm_ = register_module("kv_a_layernorm", RmsNorm(mla_.kv_lora_rank, kLatentNormEps));
  kv_b_proj_ =
      register_module("kv_b_proj", Linear(mla_.kv_lora_rank, N * (mla_.qk_nope_head_dim + mla_.v_head_dim)));
  o_proj_ = register_module("o_proj", Linear(N * mla_.v_head_dim, D, form.o_bias));
}

torch::Tensor DeepseekAttention::queries(const torch::Tensor& x_BTD, const torch::Tensor& cos_BTH,
                                         const torch::Tensor& sin_BTH) {
  const auto normed = [&](const torch::Tensor& latent) { return q_a_norm_ ? q_a_norm_(latent) : latent; };
  const auto q_BTW = q_proj_ ? q_proj_(x_BTD) : q_b_proj_(normed(q_a_proj_(x_BTD)));
  const auto parts =
      split_heads(q_BTW, shape_.n_heads).split_with_sizes({mla_.qk_nope_head_dim, mla_.qk_rope_head_dim}, -1);
  const auto turned = mla_.interleaved ? pairs_to_halves(parts[1]) : parts[1];
  return torch::cat({parts[0], apply_rotary(turned, cos_BTH, sin_BTH)}, -1);
}

torch::Tensor DeepseekAttention::forward(const AttentionInput& input) {
  const int64_t T = input.x_BTD.size(1), all = input.cos_BSH.size(1);
  const auto cos_BTH = input.cos_BSH.narrow(1, all - T, T), sin_BTH = input.sin_BSH.narrow(1, all - T, T);
  const auto q_BNTH = queries(input.x_BTD, cos_BTH, sin_BTH);
  const auto parts = kv_a_proj_(input.x_BTD).split_with_sizes({mla_.kv_lora_rank, mla_.qk_rope_head_dim}, -1);
  const auto k_rope_BTH = mla_.interleaved ? pairs_to_halves(parts[1]) : parts[1];
  const auto turned_BTH = apply_rotary(k_rope_BTH.unsqueeze(1), cos_BTH, sin_BTH).squeeze(1);
  const auto latent_BTR = kv_a_norm_ ? kv_a_norm_(parts[0]) : parts[0];
  auto latent_BSW = torch::cat({latent_BTR.to(turned_BTH.scalar_type()), turned_BTH}, -1);
  if (input.cache) latent_BSW = input.cache->append(0, latent_BSW);
  const auto mask = last_columns(input.mask_B1TS, latent_BSW.size(1));
  const bool absorbed = input.cache && absorb_ && T == 1;
  return o_proj_(merge_heads(absorbed ? attend_absorbed(q_BNTH, latent_BSW, mask)
                                      : attend_materialised(q_BNTH, latent_BSW, mask)));
}

torch::Tensor DeepseekAttention::attend_materialised(const torch::Tensor& q_BNTH,
                                                     const torch::Tensor& latent_BSW,
                                                     const torch::Tensor& mask_B1TS) {
  const int64_t N = shape_.n_heads, qk_head_dim = q_BNTH.size(3), v_dim = mla_.v_head_dim;
  const auto parts = latent_BSW.split_with_sizes({mla_.kv_lora_rank, mla_.qk_rope_head_dim}, -1);
  const auto kv = split_heads(kv_b_proj_(parts[0]), N).split_with_sizes({mla_.qk_nope_head_dim, v_dim}, -1);
  const auto k_rope_BNSH = parts[1].unsqueeze(1).expand({-1, N, -1, -1});
  const auto k_BNSH = torch::cat({kv[0], k_rope_BNSH}, -1);
  // The CPU's fused kernel wants values as wide as keys; without it a T × S matrix would be held.
  const bool pad = q_BNTH.device().is_cpu() && v_dim < qk_head_dim;
  const auto v_BNSH = pad ? torch::constant_pad_nd(kv[1], {0, qk_head_dim - v_dim}) : kv[1];
  return attend(q_BNTH, k_BNSH, v_BNSH, mask_B1TS, score_).narrow(-1, 0, v_dim);
}

// W_KVB = [W_UK; W_UV] per head: q_nope W_UK meets c, and (weights · c) W_UVᵀ is the output. Values are read
// from the same R + rope numbers as keys; what is summed of k_rope is dropped.
torch::Tensor DeepseekAttention::attend_absorbed(const torch::Tensor& q_BNTH, const torch::Tensor& latent_BSW,
                                                 const torch::Tensor& mask_B1TS) {
  const auto up = kv_b_proj_->weight.view({shape_.n_heads, -1, mla_.kv_lora_rank})
                      .split_with_sizes({mla_.qk_nope_head_dim, mla_.v_head_dim}, 1);
  const auto q = q_BNTH.split_with_sizes({mla_.qk_nope_head_dim, mla_.qk_rope_head_dim}, -1);
  const auto q_latent_BNTR = torch::einsum("bnth,nhr->bntr", {q[0], up[0]});
  const auto q_BNTW = torch::cat({q_latent_BNTR, q[1]}, -1);
  const auto latent_B1SW = latent_BSW.unsqueeze(1);
  const auto context_BNTW = attend(q_BNTW, latent_B1SW, latent_B1SW, mask_B1TS, score_);
  return torch::einsum("bntr,nhr->bnth", {context_BNTW.narrow(-1, 0, mla_.kv_lora_rank), up[1]});
}

std::vector<CacheSlot> DeepseekAttention::cache_layout() const {
  return {{"kv_latent_and_k_rope", mla_.kv_lora_rank + mla_.qk_rope_head_dim}};
}

int64_t DeepseekAttention::pair_width() const {
  return shape_.n_heads * (mla_.qk_nope_head_dim + mla_.qk_rope_head_dim + mla_.v_head_dim);
}

}  // namespace attnlab
