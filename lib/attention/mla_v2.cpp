#include "attention/mla_v2.h"

#include <fmt/format.h>

#include <cmath>

#include "attention/attention.h"
#include "attention/rotary.h"

namespace attnlab {
namespace {

int64_t group_width(const AttentionShape& shape, int64_t groups) {
  return shape.n_kv_heads / groups * shape.head_dim;
}

// [N, H, K] → [N, W, K]: head n's H rows at its KV head's place inside the group, zeros elsewhere.
torch::Tensor placed(const AttentionShape& shape, int64_t groups, const torch::Tensor& x_NHK) {
  const int64_t per_group = shape.n_kv_heads / groups;
  auto out = torch::zeros({shape.n_heads, per_group, shape.head_dim, x_NHK.size(2)}, x_NHK.options());
  for (int64_t n = 0; n < shape.n_heads; ++n)
    out.select(0, n).select(0, n / shape.heads_per_kv() % per_group).copy_(x_NHK.select(0, n));
  return out.flatten(1, 2);
}

// U and V [N·H, W] at the start.
torch::Tensor selection(const AttentionShape& shape, int64_t groups, torch::TensorOptions options) {
  const auto eye_NHH = torch::eye(shape.head_dim, options).expand({shape.n_heads, -1, -1});
  return placed(shape, groups, eye_NHH).transpose(1, 2).flatten(0, 1);
}

// Rotary of each block of H (or W) numbers; x_BTMW [B, T, heads, W], any strides.
torch::Tensor turned(const torch::Tensor& x_BTMW, int64_t block, const torch::Tensor& cos_BTH,
                     const torch::Tensor& sin_BTH) {
  const int64_t B = x_BTMW.size(0), T = x_BTMW.size(1), M = x_BTMW.size(2);
  const auto per_token = [&](const torch::Tensor& table) {
    return table.expand({B, T, -1}).reshape({B * T, 1, table.size(2)});
  };
  // A token's heads and their blocks stand where heads and tokens do elsewhere: no reordering, no copy.
  return apply_rotary(x_BTMW.reshape({B * T, M, -1, block}), per_token(cos_BTH), per_token(sin_BTH))
      .reshape({B, T, M, -1});
}

// Keys (values) of the groups as [B, M, S, W] for `attend`. On a GPU, the fused kernels that take fewer KV
// heads end at 256 numbers; what takes over there holds T × S scores (28 heads of 512, 2048 tokens, H100,
// bfloat16, forward and backward: 4368 MiB, 36 ms). One KV head per query head has a kernel without them (714
// MiB, 21 ms); for one group it is a view.
torch::Tensor for_kernel(const torch::Tensor& x_BSL, int64_t groups, int64_t heads, int64_t T) {
  const auto x_BgSW = split_heads(x_BSL, groups);
  if (!x_BSL.is_cuda() || T == 1 || x_BgSW.size(3) <= 256) return x_BgSW;
  return x_BgSW.unsqueeze(2).expand({-1, -1, heads / groups, -1, -1}).flatten(1, 2);
}

class GroupAttention final : public Attention {
 public:
  GroupAttention(const AttentionShape& shape, const MlaV2::Config& config)
      : Attention(shape),
        groups_(config.groups),
        width_(group_width(shape, config.groups)),
        block_(config.rope == GroupRope::extend ? width_ : shape.head_dim),
        score_(shape.score) {
    if (score_.scale <= 0) score_.scale = 1 / std::sqrt(static_cast<double>(shape.head_dim));
    const int64_t D = shape.d_model, N = shape.n_heads, kv = shape.n_kv_heads * shape.head_dim;
    const int64_t heads_width = N * (config.absorb ? width_ : shape.head_dim);
    q_proj_ = register_module("q_proj", Linear(D, heads_width, shape.qkv_bias));
    k_proj_ = register_module("k_proj", Linear(D, kv, shape.qkv_bias));
    v_proj_ = register_module("v_proj", Linear(D, kv, shape.qkv_bias));
    if (!config.absorb) {
      k_up_proj_ = register_module("k_up_proj", Linear(width_, heads_width));
      v_up_proj_ = register_module("v_up_proj", Linear(width_, heads_width));
    }
    o_proj_ = register_module("o_proj", Linear(heads_width, D, shape.o_bias));
    norm_ = QkNorm(*this, shape);
  }

  StateLayout state_layout() const override {
    const int64_t all = groups_ * width_;
    return {{.name = "k_latent",
             .width = all,
             .heads = groups_,
             .rotated = width_,
             .turning_block = block_,
             .serves = Serves::keys},
            {.name = "v_latent", .width = all, .heads = groups_, .serves = Serves::values}};
  }

 protected:
  torch::Tensor attend(AttentionPass& pass) override;
  int64_t pair_width() const override { return 2 * shape_.n_heads * width_; }

 private:
  // q'_n of each head, [B, T, N, W].
  torch::Tensor queries(const torch::Tensor& x_BTD) {
    const auto q_BTNE = q_proj_(x_BTD).unflatten(-1, {shape_.n_heads, -1});
    if (!k_up_proj_) return q_BTNE;
    const auto up_NHW = k_up_proj_->matrix(x_BTD.scalar_type()).unflatten(0, {shape_.n_heads, shape_.head_dim});
    return torch::einsum("btnh,nhw->btnw", {norm_.query(q_BTNE), up_NHW});
  }

  int64_t groups_, width_;  // g, W
  int64_t block_;           // numbers that rotary takes as one head: H or W
  ScoreForm score_;
  Linear q_proj_{nullptr}, k_proj_{nullptr}, v_proj_{nullptr}, o_proj_{nullptr};
  Linear k_up_proj_{nullptr}, v_up_proj_{nullptr};  // U and V, heads one below the other; none with absorb
  QkNorm norm_;
};

torch::Tensor GroupAttention::attend(AttentionPass& pass) {
  const auto& x = pass.x_BTD();
  const int64_t T = x.size(1), N = shape_.n_heads;
  const auto [cos_BTH, sin_BTH] = pass.new_tables();
  const auto q_BNTW = turned(queries(x), block_, cos_BTH, sin_BTH).transpose(1, 2);
  const auto k_BTGH = norm_.key(k_proj_(x).unflatten(-1, {shape_.n_kv_heads, shape_.head_dim}));
  const auto k_BTL =
      turned(k_BTGH.flatten(2).unflatten(2, {groups_, width_}), block_, cos_BTH, sin_BTH).flatten(2);
  const auto v_BTL = v_proj_(x);
  const auto k_BSL = pass.remember(0, k_BTL), v_BSL = pass.remember(1, v_BTL);
  auto o_BNTE = pass.attend(q_BNTW, for_kernel(k_BSL, groups_, N, T), for_kernel(v_BSL, groups_, N, T), score_);
  if (v_up_proj_) {
    const auto up_NHW = v_up_proj_->matrix(x.scalar_type()).unflatten(0, {N, shape_.head_dim});
    o_BNTE = torch::einsum("bntw,nhw->bnth", {o_BNTE, up_NHW});
  }
  return o_proj_(merge_heads(o_BNTE));
}

}  // namespace

std::shared_ptr<Mixer> MlaV2::make(const AttentionShape& shape, const Config& config) {
  return std::make_shared<GroupAttention>(shape, config);
}

std::optional<BadInput> MlaV2::problem(const AttentionShape& shape, const Config& config) {
  if (auto mla = mla_base_problem(shape)) return mla;
  if (config.groups < 1 || shape.n_kv_heads % config.groups != 0)
    return BadInput{.key = "groups",
                    .found = fmt::format("{}", config.groups),
                    .expected = fmt::format("a divisor of n_kv_heads = {}", shape.n_kv_heads)};
  const auto no_extend = [](const char* reason) {
    return BadInput{.key = "rope", .found = "extend", .expected = fmt::format("repeat: {}", reason)};
  };
  const bool extend = config.rope == GroupRope::extend;
  if (extend && shape.rotary_dim > 0 && shape.rotary_dim != shape.head_dim)
    return no_extend("only a part of the base's heads turns");
  if (extend && shape.scaled_by_frequency)
    return no_extend("the base's rotary scaling (longrope) has a factor for each frequency of a head");
  if (extend && shape.scaled_by_width)
    return no_extend("the base's rotary scaling (yarn or dynamic) is one for the width of a head");
  if (config.absorb && shape.qk_norm)
    return BadInput{.key = "absorb",
                    .found = "true",
                    .expected = "false: the norm of query heads (qk_norm) stands before the up-projection"};
  return std::nullopt;
}

int64_t MlaV2::turning_dim(const AttentionShape& shape, const Config& config, int64_t base_turning_dim) {
  return config.rope == GroupRope::extend ? group_width(shape, config.groups) : base_turning_dim;
}

TensorMap MlaV2::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  TensorMap out = all_projections(gqa);
  if (!config.absorb) {
    out["k_up_proj.weight"] = selection(shape, config.groups, gqa.k_weight.options());
    out["v_up_proj.weight"] = selection(shape, config.groups, gqa.v_weight.options());
    return out;
  }
  // U_nᵀ W_Q,n, U_nᵀ b_Q,n and W_O,n V_n, where U_n and V_n select.
  const auto rows = [&](const torch::Tensor& x) {  // [N·H, K] → [N·W, K]
    return placed(shape, config.groups, x.unflatten(0, {shape.n_heads, shape.head_dim})).flatten(0, 1);
  };
  out["q_proj.weight"] = rows(gqa.q_weight);
  if (gqa.q_bias.defined()) out["q_proj.bias"] = rows(gqa.q_bias.unsqueeze(1)).squeeze(1);
  out["o_proj.weight"] = rows(gqa.o_weight.t()).t().contiguous();
  return out;
}

}  // namespace attnlab
