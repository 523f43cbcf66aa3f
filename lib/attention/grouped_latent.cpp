#include "attention/grouped_latent.h"

#include <cmath>

#include "attention/spectral.h"

namespace attnlab {
namespace {

constexpr double kGroupNormEps = 1e-6;
constexpr size_t kGroupSlots = 3;  // of keys, values and what turns

}  // namespace

GroupedLatentAttention::GroupedLatentAttention(const AttentionShape& shape, const GroupedLatentForm& form,
                                               bool absorb)
    : Attention(shape, absorb),
      form_(form),
      score_{.scale = 1 / std::sqrt(static_cast<double>(shape.head_dim + form.rope)),
             .softcap = shape.score.softcap} {
  const int64_t D = shape.d_model, N = shape.n_heads, H = shape.head_dim, q_width = N * (H + form.rope);
  if (form.q_lora_rank == 0) {
    q_proj_ = register_module("q_proj", Linear(D, q_width, form.q_bias));
  } else {
    q_a_proj_ = register_module("q_a_proj", Linear(D, form.q_lora_rank, form.q_a_bias));
    if (form.norms) q_a_norm_ = register_module("q_a_layernorm", RmsNorm(form.q_lora_rank, kGroupNormEps));
    q_b_proj_ = register_module("q_b_proj", Linear(form.q_lora_rank, q_width, form.q_bias));
  }
  const int64_t width = form.latents * form.width;
  kv_a_proj_ = register_module("kv_a_proj_with_mqa", Linear(D, width + form.rope, form.kv_a_bias));
  if (form.norms) kv_a_norm_ = register_module("kv_a_layernorm", RmsNorm(width, kGroupNormEps));
  kv_b_proj_ = register_module("kv_b_proj", Linear(form.width, form.up_heads * 2 * H, form.kv_b_bias));
  o_proj_ = register_module("o_proj", Linear(N * H, D, form.o_bias));
}

StateLayout GroupedLatentAttention::layout_of(GqlaDecode keeps) const {
  const StateSlot rope{.name = "k_rope",
                       .width = form_.rope,
                       .rotated = form_.rope,
                       .serves = Serves::keys,
                       .rotary_apart = true};
  const int64_t U = form_.up_heads, kv = U * shape_.head_dim;
  if (keeps == GqlaDecode::groups)
    return {{.name = "k", .width = kv, .heads = U, .serves = Serves::keys},
            {.name = "v", .width = kv, .heads = U, .serves = Serves::values},
            rope};
  if (form_.latents > 1) return {{.name = "kv_latent", .width = form_.latents * form_.width}, rope};
  // Side by side, so that the queries read both as they lie.
  return {{.name = "kv_latent_and_k_rope",
           .width = form_.width + form_.rope,
           .rotated_from = form_.width,
           .rotated = form_.rope,
           .rotary_apart = true}};
}

StateLayout GroupedLatentAttention::state_layout_on(torch::Device device) const {
  if (form_.keeps != GqlaDecode::automatic) return state_layout();
  return layout_of(faster_decode(shape_, form_, device.is_cuda()));
}

torch::Tensor GroupedLatentAttention::queries(const torch::Tensor& x_BTD) {
  if (q_proj_) return split_heads(q_proj_(x_BTD), shape_.n_heads);
  const auto latent = q_a_proj_(x_BTD);
  return split_heads(q_b_proj_(q_a_norm_ ? q_a_norm_(latent) : latent), shape_.n_heads);
}

// Each latent is normed by itself.
torch::Tensor GroupedLatentAttention::latents(const torch::Tensor& c_BTW) {
  if (!kv_a_norm_) return c_BTW;
  const auto apart = c_BTW.unflatten(2, {form_.latents, form_.width});
  const auto weight = kv_a_norm_->weight.view({form_.latents, form_.width});
  return (at::rms_norm(apart, {form_.width}, {}, kGroupNormEps) * weight).flatten(2).to(c_BTW.dtype());
}

std::vector<torch::Tensor> GroupedLatentAttention::up(const torch::Tensor& c_BSW) {
  const int64_t h = form_.latents, H = shape_.head_dim;
  torch::Tensor kv_BSy;
  if (h == 1) {
    kv_BSy = kv_b_proj_(c_BSW);
  } else {
    const auto c_BhSw = split_heads(c_BSW, h);
    const auto weight_hwy = kv_b_proj_->matrix(c_BSW.scalar_type()).unflatten(0, {h, -1}).transpose(1, 2);
    kv_BSy = merge_heads(torch::matmul(c_BhSw, weight_hwy));
    if (kv_b_proj_->bias.defined()) kv_BSy = kv_BSy + kv_b_proj_->bias;
  }
  return split_heads(kv_BSy, form_.up_heads).split_with_sizes({H, H}, -1);
}

torch::Tensor GroupedLatentAttention::attend(AttentionPass& pass) {
  const int64_t H = shape_.head_dim, r = form_.rope;
  auto q = queries(pass.x_BTD()).split_with_sizes({H, r}, -1);
  q[1] = pass.turn(q[1]);
  const auto kv = kv_a_proj_(pass.x_BTD()).split_with_sizes({form_.latents * form_.width, r}, -1);
  const auto c_BTW = latents(kv[0]);
  const auto k_rope_B1Tr = pass.turn(kv[1].unsqueeze(1));
  return o_proj_(merge_heads(pass.slots() == kGroupSlots ? attend_groups(pass, q, c_BTW, k_rope_B1Tr)
                                                         : attend_latents(pass, q, c_BTW, k_rope_B1Tr)));
}

torch::Tensor GroupedLatentAttention::attend_groups(AttentionPass& pass,
                                                    const std::vector<torch::Tensor>& q_BNTx,
                                                    const torch::Tensor& c_BTW,
                                                    const torch::Tensor& k_rope_B1Tr) {
  const auto heads = up(c_BTW);
  const auto k_BUSH = pass.remember(0, heads[0]), v_BUSH = pass.remember(1, heads[1]);
  return attend_heads(pass, torch::cat(q_BNTx, -1), k_BUSH, v_BUSH, pass.remember(2, k_rope_B1Tr));
}

torch::Tensor GroupedLatentAttention::attend_latents(AttentionPass& pass,
                                                     const std::vector<torch::Tensor>& q_BNTx,
                                                     const torch::Tensor& c_BTW,
                                                     const torch::Tensor& k_rope_B1Tr) {
  torch::Tensor c_BSW, k_rope_B1Sr;
  if (form_.latents == 1) {
    const auto new_BTy = torch::cat({c_BTW.to(k_rope_B1Tr.scalar_type()), k_rope_B1Tr.squeeze(1)}, -1);
    if (absorbs(pass)) {
      pass.remember_latent(0, new_BTy);
      return attend_absorbed(pass, q_BNTx, {}, {});
    }
    const auto both_BSW = pass.remember(0, new_BTy);
    c_BSW = both_BSW.narrow(-1, 0, form_.width);
    k_rope_B1Sr = both_BSW.narrow(-1, form_.width, form_.rope).unsqueeze(1);
  } else {
    c_BSW = pass.remember(0, c_BTW);
    k_rope_B1Sr = pass.remember(1, k_rope_B1Tr);
  }
  if (absorbs(pass)) return attend_absorbed(pass, q_BNTx, c_BSW, k_rope_B1Sr);
  const auto heads = up(c_BSW);
  return attend_heads(pass, torch::cat(q_BNTx, -1), heads[0], heads[1], k_rope_B1Sr);
}

torch::Tensor GroupedLatentAttention::attend_heads(const AttentionPass& pass, const torch::Tensor& q_BNTH,
                                                   const torch::Tensor& k_BUSH, const torch::Tensor& v_BUSH,
                                                   const torch::Tensor& k_rope_B1Sr) {
  const int64_t H = shape_.head_dim;
  const auto key_BUSx = torch::cat({k_BUSH, k_rope_B1Sr.expand({-1, k_BUSH.size(1), -1, -1})}, -1);
  // The CPU's fused kernel wants values as wide as keys; without it a T × S matrix would be held.
  const bool pad = q_BNTH.device().is_cpu();
  const auto value_BUSx = pad ? torch::constant_pad_nd(v_BUSH, {0, form_.rope}) : v_BUSH;
  return pass.attend(q_BNTH, key_BUSx, value_BUSx, score_).narrow(-1, 0, H);
}

// W_KVB = [W_UK; W_UV] per up-projected head: q W_UK meets c, and (weights · c) W_UVᵀ is the output. A bias of
// the keys adds the same to all scores of a query, one of the values itself.
torch::Tensor GroupedLatentAttention::attend_absorbed(const AttentionPass& pass,
                                                      const std::vector<torch::Tensor>& q_BN1x,
                                                      const torch::Tensor& c_BSW,
                                                      const torch::Tensor& k_rope_B1Sr) {
  const int64_t h = form_.latents, H = shape_.head_dim, U = form_.up_heads, N = shape_.n_heads;
  const auto up =
      kv_b_proj_->matrix(q_BN1x[0].scalar_type()).unflatten(0, {U, 2 * H}).split_with_sizes({H, H}, 1);
  const auto by_up_head = [&](const torch::Tensor& x_BN1y) {
    return x_BN1y.squeeze(2).unflatten(1, {U, N / U});
  };
  const auto q_BNw = torch::einsum("buch,uhw->bucw", {by_up_head(q_BN1x[0]), up[0]}).flatten(1, 2);
  const auto query_BNy = torch::cat({q_BNw, q_BN1x[1].squeeze(2)}, -1);
  torch::Tensor context_BN1w;
  if (h == 1) {
    context_BN1w = pass.attend_latent(query_BNy, 0, form_.width, score_).unsqueeze(2);
  } else {
    const auto c_BhSw = split_heads(c_BSW, h);
    const auto key_BhSx = torch::cat({c_BhSw, k_rope_B1Sr.expand({-1, h, -1, -1})}, -1);
    context_BN1w = pass.attend(query_BNy.unsqueeze(2), key_BhSx, c_BhSw, score_);
  }
  auto out_BUcH = torch::einsum("bucw,uhw->buch", {by_up_head(context_BN1w), up[1]});
  if (kv_b_proj_->bias.defined())
    out_BUcH = out_BUcH + kv_b_proj_->bias.view({U, 2 * H}).narrow(1, H, H).unsqueeze(1);
  return out_BUcH.flatten(1, 2).unsqueeze(2);
}

GroupedLatents grouped_latents(const AttentionShape& shape, const GroupedLatentForm& form,
                               const GqaWeights& gqa, const GatheredRotary& rotary,
                               const SecondMoment& moment) {
  const int64_t D = shape.d_model, H = shape.head_dim, heads = shape.n_kv_heads / form.latents;
  const TurningApart apart = turning_apart(shape, gqa, rotary, moment);
  GroupedLatents out{.rope_energy = apart.rope_energy};
  std::vector<torch::Tensor> down, up;
  for (int64_t j = 0; j < form.latents; ++j) {
    const auto of = [&](const torch::Tensor& x_GHx) { return x_GHx.narrow(0, j * heads, heads).flatten(0, 1); };
    const auto both = torch::cat({of(apart.nope_GHx), of(apart.v_GHx)});  // [2·heads·H, x]
    const Spectrum spectrum = spectrum_of(moment_of_rows(both, D, moment));
    const auto directions = spectrum.vectors.narrow(1, 0, form.width);
    const auto all = spectrum.values.clamp_min(0).sum().clamp_min(1e-300);
    out.lost.push_back(
        (spectrum.values.narrow(0, form.width, both.size(0) - form.width).clamp_min(0).sum() / all)
            .item<double>());
    down.push_back(torch::matmul(directions.t(), both));
    // Rows head by head: the key's, then the value's.
    up.push_back(directions.unflatten(0, {2, heads, H}).transpose(0, 1).flatten(0, 2));
  }
  down.push_back(apart.k_rope_rx);
  const double own =
      shape.score.scale > 0 ? shape.score.scale : 1 / std::sqrt(static_cast<double>(shape.head_dim));
  const double factor = own * std::sqrt(static_cast<double>(H + form.rope));
  const auto q = factor * torch::cat({apart.q_NHx, apart.q_rope_Nrx}, 1).flatten(0, 1);
  store_rows(out.tensors, "q_proj", q, D, form.q_bias, gqa.q_weight);
  store_rows(out.tensors, "kv_a_proj_with_mqa", torch::cat(down), D, form.kv_a_bias, gqa.q_weight);
  out.tensors["kv_b_proj.weight"] = torch::cat(up).to(gqa.q_weight.options()).contiguous();
  out.tensors["o_proj.weight"] = gqa.o_weight;
  if (gqa.o_bias.defined()) out.tensors["o_proj.bias"] = gqa.o_bias;
  return out;
}

}  // namespace attnlab
