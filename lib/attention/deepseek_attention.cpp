#include "attention/deepseek_attention.h"

#include <cmath>

#include "attention/rotary.h"
#include "kernels/latent_heads.h"
#include "kernels/latent_step.h"

namespace attnlab {
namespace {
// Hugging Face's modules build the norms of the latents with this, whatever rms_norm_eps says.
constexpr double kLatentNormEps = 1e-6;
}  // namespace

DeepseekAttention::DeepseekAttention(const AttentionShape& shape, const DeepseekForm& form, bool absorb)
    : Attention(shape, absorb), mla_(form.sizes), score_(form.score) {
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
  inputs_ = SharedInput({q_proj_ ? q_proj_ : q_a_proj_, kv_a_proj_});
}

torch::Tensor DeepseekAttention::queries(const torch::Tensor& projected_BTQ) {
  const auto normed = [&](const torch::Tensor& latent) { return q_a_norm_ ? q_a_norm_(latent) : latent; };
  return q_proj_ ? projected_BTQ : q_b_proj_(normed(projected_BTQ));
}

torch::Tensor DeepseekAttention::attend(AttentionPass& pass) {
  const int64_t N = shape_.n_heads;
  const auto [cos_BTH, sin_BTH] = pass.new_tables();
  const auto projected = inputs_.forward(pass.x_BTD());
  const auto q_BTQ = queries(projected[0]);
  if (pass.slots() == 0)
    if (const auto heads = attend_all_new(pass, q_BTQ, projected[1]); heads.defined()) return o_proj_(heads);
  const auto q_BNTH = split_heads(q_BTQ, N);
  if (absorbs(pass))
    if (const auto heads = attend_in_few(pass, q_BNTH, projected[1]); heads.defined()) return o_proj_(heads);
  const auto q = q_BNTH.split_with_sizes({mla_.qk_nope_head_dim, mla_.qk_rope_head_dim}, -1);
  const auto kv = projected[1].split_with_sizes({mla_.kv_lora_rank, mla_.qk_rope_head_dim}, -1);
  // The key's part turns as one head more: while decoding, the number of kernels is what counts.
  const auto rope_BMTH = torch::cat({q[1], kv[1].unsqueeze(1)}, 1);
  const auto turned = (mla_.interleaved ? apply_rotary_to_pairs(rope_BMTH, cos_BTH, sin_BTH)
                                        : apply_rotary(rope_BMTH, cos_BTH, sin_BTH))
                          .split_with_sizes({N, 1}, 1);
  const auto latent_BTR = kv_a_norm_ ? kv_a_norm_(kv[0]) : kv[0];
  const auto new_BTW = torch::cat({latent_BTR.to(turned[1].scalar_type()), turned[1].squeeze(1)}, -1);
  if (absorbs(pass)) {
    pass.remember_latent(0, new_BTW);
    return o_proj_(merge_heads(attend_absorbed(pass, q[0], turned[0])));
  }
  return o_proj_(
      merge_heads(attend_materialised(pass, torch::cat({q[0], turned[0]}, -1), pass.remember(0, new_BTW))));
}

torch::Tensor DeepseekAttention::attend_all_new(const AttentionPass& pass, const torch::Tensor& q_BTQ,
                                                const torch::Tensor& kv_BTW) {
  const auto& [cos_BTH, sin_BTH] = pass.new_tables();
  const auto kv = kv_BTW.split_with_sizes({mla_.kv_lora_rank, mla_.qk_rope_head_dim}, -1);
  LatentHeads parts{.q_BTQ = q_BTQ,
                    .kv_BTK = {},
                    .k_rope_BTr = kv[1],
                    .value = mla_.v_head_dim,
                    .cos_BTr = cos_BTH,
                    .sin_BTr = sin_BTH,
                    .N = shape_.n_heads,
                    .pairs = mla_.interleaved ? RotaryPairs::neighbours : RotaryPairs::halves};
  if (!fits_latent_heads(parts)) return {};
  parts.kv_BTK = kv_b_proj_(kv_a_norm_ ? kv_a_norm_(kv[0]) : kv[0]).to(q_BTQ.scalar_type());
  const auto heads = make_latent_heads(parts);
  return merge_heads(pass.attend(heads.q_BNTH, heads.k_BNTH, heads.v_BNTV, score_));
}

torch::Tensor DeepseekAttention::attend_materialised(const AttentionPass& pass, const torch::Tensor& q_BNTH,
                                                     const torch::Tensor& latent_BSW) {
  const int64_t N = shape_.n_heads, qk_head_dim = q_BNTH.size(3), v_dim = mla_.v_head_dim;
  const auto parts = latent_BSW.split_with_sizes({mla_.kv_lora_rank, mla_.qk_rope_head_dim}, -1);
  const auto kv = split_heads(kv_b_proj_(parts[0]), N).split_with_sizes({mla_.qk_nope_head_dim, v_dim}, -1);
  const auto k_rope_BNSH = parts[1].unsqueeze(1).expand({-1, N, -1, -1});
  const auto k_BNSH = torch::cat({kv[0], k_rope_BNSH}, -1);
  // The CPU's fused kernel wants values as wide as keys; without it a T × S matrix would be held.
  const bool pad = q_BNTH.device().is_cpu() && v_dim < qk_head_dim;
  if (!pad) return pass.attend(q_BNTH, k_BNSH, kv[1], score_);
  const auto v_BNSH = torch::constant_pad_nd(kv[1], {0, qk_head_dim - v_dim});
  return pass.attend(q_BNTH, k_BNSH, v_BNSH, score_).narrow(-1, 0, v_dim);
}

// W_KVB = [W_UK; W_UV] per head: q_nope W_UK meets c, and (weights · c) W_UVᵀ is the output.
torch::Tensor DeepseekAttention::attend_absorbed(const AttentionPass& pass, const torch::Tensor& q_nope_BN1H,
                                                 const torch::Tensor& q_rope_BN1H) {
  const auto up = up_projections(q_nope_BN1H.scalar_type());
  const auto q_latent_BNR = torch::einsum("bnh,nhr->bnr", {q_nope_BN1H.squeeze(2), up[0]});
  const auto q_BNW = torch::cat({q_latent_BNR, q_rope_BN1H.squeeze(2)}, -1);
  const auto context_BNR = pass.attend_latent(q_BNW, 0, mla_.kv_lora_rank, score_);
  return torch::einsum("bnr,nhr->bnh", {context_BNR, up[1]}).unsqueeze(2);
}

std::vector<torch::Tensor> DeepseekAttention::up_projections(torch::ScalarType dtype) const {
  return kv_b_proj_->matrix(dtype)
      .view({shape_.n_heads, -1, mla_.kv_lora_rank})
      .split_with_sizes({mla_.qk_nope_head_dim, mla_.v_head_dim}, 1);
}

// Products are written where they are read: q_nope W_UK beside the turned part of the queries, heads side by
// side.
torch::Tensor DeepseekAttention::attend_in_few(AttentionPass& pass, const torch::Tensor& q_BN1H,
                                               const torch::Tensor& kv_B1W) {
  const int64_t B = q_BN1H.size(0), N = q_BN1H.size(1), R = mla_.kv_lora_rank, rope = mla_.qk_rope_head_dim;
  const auto& [cos_BTH, sin_BTH] = pass.new_tables();
  const auto q = q_BN1H.squeeze(2).split_with_sizes({mla_.qk_nope_head_dim, rope}, -1);
  const LatentStep step{.q_rope_BNr = q[1],
                        .kv_BW = kv_B1W.squeeze(1),
                        .norm_weight_R = kv_a_norm_ ? kv_a_norm_->weight : torch::Tensor(),
                        .eps = kLatentNormEps,
                        .cos_Br = cos_BTH.squeeze(1),
                        .sin_Br = sin_BTH.squeeze(1),
                        .pairs = mla_.interleaved ? RotaryPairs::neighbours : RotaryPairs::halves};
  if (!fits_latent_step(step)) return {};
  const auto up = up_projections(q[0].scalar_type());
  if (up[0].scalar_type() != q[0].scalar_type()) return {};
  const auto q_BNW = torch::empty({B, N, R + rope}, q[0].options());
  auto q_latent_NBR = q_BNW.narrow(-1, 0, R).transpose(0, 1);
  at::bmm_out(q_latent_NBR, q[0].transpose(0, 1), up[0]);
  pass.write_latent(0, q[0].options(), [&](const torch::Tensor& out_PW, const torch::Tensor& rows_B) {
    take_latent_step(step, q_BNW.narrow(-1, R, rope), out_PW, rows_B);
  });
  const auto context_BNR = pass.attend_latent(q_BNW, 0, R, score_);
  const auto heads_BNV = torch::empty({B, N, mla_.v_head_dim}, context_BNR.options());
  auto heads_NBV = heads_BNV.transpose(0, 1);
  at::bmm_out(heads_NBV, context_BNR.transpose(0, 1), up[1].transpose(1, 2));
  return heads_BNV.flatten(1).unsqueeze(1);
}

StateLayout DeepseekAttention::state_layout() const {
  const int64_t rank = mla_.kv_lora_rank, rope = mla_.qk_rope_head_dim;
  return {{.name = "kv_latent_and_k_rope",
           .width = rank + rope,
           .rotated_from = rank,
           .rotated = rope,
           .rotary_apart = true}};
}

int64_t DeepseekAttention::pair_width() const {
  return shape_.n_heads * (mla_.qk_nope_head_dim + mla_.qk_rope_head_dim + mla_.v_head_dim);
}

}  // namespace attnlab
