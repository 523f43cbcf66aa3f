#include "attention/tpa.h"

#include <fmt/format.h>

#include <algorithm>

#include "attention/shared_rotary.h"
#include "attention/spectral.h"
#include "attention/tpa_attention.h"

namespace attnlab {
namespace {

constexpr double kHeadNormEps = 1e-5;

int64_t tpa_rank(const AttentionShape& shape, const Tpa::Config& config) {
  return config.rank.value_or(shape.n_kv_heads);
}

}  // namespace

TpaAttention::TpaAttention(const AttentionShape& shape, const TpaForm& form) : Attention(shape), form_(form) {
  const int64_t D = shape.d_model, width = shape.n_heads * shape.head_dim;
  if (form.q_rank == 0) {
    q_proj_ = register_module("q_proj", Linear(D, width, shape.qkv_bias));
  } else {
    q_ = factor("q", form.q_rank, shape.qkv_bias);
  }
  k_ = factor("k", form.k_rank, shape.qkv_bias);
  v_ = factor("v", form.v_rank, shape.qkv_bias);
  o_proj_ = register_module("o_proj", Linear(width, D, shape.o_bias));
  if (form.head_norm) head_norm_ = register_module("head_norm", RmsNorm(shape.head_dim, kHeadNormEps));
}

TpaAttention::Factor TpaAttention::factor(const std::string& name, int64_t rank, bool rows_bias) {
  const int64_t D = shape_.d_model, N = shape_.n_heads;
  Factor out{.rank = rank};
  if (form_.contextual)
    out.heads = register_module(name + "_heads", Linear(D, N * rank, form_.factor_bias));
  else
    out.constant_NR = register_parameter(name + "_heads", empty_parameter({N, rank}));
  out.rows = register_module(name + "_rows", Linear(D, rank * shape_.head_dim, rows_bias));
  return out;
}

StateLayout TpaAttention::state_layout() const {
  const int64_t N = shape_.n_heads, H = shape_.head_dim;
  StateLayout layout;
  for (const auto& [name, rank, turns] : {std::tuple{"k", form_.k_rank, true}, {"v", form_.v_rank, false}}) {
    if (form_.contextual) layout.push_back({.name = std::string(name) + "_heads", .width = N * rank});
    layout.push_back({.name = std::string(name) + "_rows",
                      .width = rank * H,
                      .rotated = turns ? rank * H : 0,
                      .turning_block = turns ? H : 0});
  }
  return layout;
}

torch::Tensor TpaAttention::heads_of(const Factor& factor, const torch::Tensor& x_BTD) {
  return factor.constant_NR.defined() ? factor.constant_NR : Linear(factor.heads)(x_BTD);
}

torch::Tensor TpaAttention::rows_of(const Factor& factor, const torch::Tensor& x_BTD) {
  return split_heads(Linear(factor.rows)(x_BTD), factor.rank);
}

torch::Tensor TpaAttention::product(const torch::Tensor& heads, const torch::Tensor& rows_BRSH) {
  const auto R = rows_BRSH.size(1);
  const double share = 1 / static_cast<double>(R);
  if (heads.dim() == 2) return torch::einsum("nr,brsh->bnsh", {share * heads.to(rows_BRSH.dtype()), rows_BRSH});
  const auto heads_BSNR = heads.unflatten(2, {-1, R});
  return torch::matmul(share * heads_BSNR.to(rows_BRSH.dtype()), rows_BRSH.transpose(1, 2)).transpose(1, 2);
}

torch::Tensor TpaAttention::remembered(AttentionPass& pass, const Factor& factor, bool turns, size_t& slot) {
  const auto& x = pass.x_BTD();
  auto heads = heads_of(factor, x);
  auto rows_BRTH = rows_of(factor, x);
  if (turns) rows_BRTH = pass.turn(rows_BRTH);
  if (heads.dim() == 3) heads = pass.remember(slot++, heads);
  // One latent of R·H numbers: the factors of a token go together.
  const auto rows_BSW = pass.remember(slot++, merge_heads(rows_BRTH));
  return product(heads, split_heads(rows_BSW, factor.rank));
}

torch::Tensor TpaAttention::attend(AttentionPass& pass) {
  const auto& x = pass.x_BTD();
  const auto q_BNTH = q_proj_ ? pass.turn(split_heads(q_proj_(x), shape_.n_heads))
                              : product(heads_of(q_, x), pass.turn(rows_of(q_, x)));
  size_t slot = 0;
  const auto k_BNSH = remembered(pass, k_, true, slot);
  const auto v_BNSH = remembered(pass, v_, false, slot);
  auto context_BNTH = pass.attend(q_BNTH, k_BNSH, v_BNSH, shape_.score);
  if (head_norm_) context_BNTH = head_norm_(context_BNTH);
  return o_proj_(merge_heads(context_BNTH));
}

HeadFactors head_factors(const AttentionShape& shape, const torch::Tensor& weight, const torch::Tensor& bias,
                         int64_t rank, const SecondMoment& moment) {
  const int64_t G = shape.n_kv_heads, H = shape.head_dim;
  // Σ_h of the second moment between KV heads: [G, G].
  const auto gram_GG = moment(weight, bias).view({G, H, G, H}).diagonal(0, 1, 3).sum(-1);
  const Spectrum spectrum = spectrum_of(gram_GG);
  const auto U_GR = spectrum.vectors.narrow(1, 0, rank);
  const auto rows_GHx = rows_with_bias(weight, bias).unflatten(0, {G, H});
  const auto all = spectrum.values.clamp_min(0).sum().clamp_min(1e-300);
  return {.heads_NR = static_cast<double>(rank) * U_GR.repeat_interleave(shape.heads_per_kv(), 0),
          .rows_RHx = torch::einsum("gr,ghx->rhx", {U_GR, rows_GHx}),
          .lost = (spectrum.values.narrow(0, rank, G - rank).clamp_min(0).sum() / all).item<double>()};
}

TensorMap tpa_from_moments(const AttentionShape& shape, const Tpa::Config& config, const GqaWeights& gqa,
                           const SecondMoment& moment) {
  TensorMap out = query_and_output(gqa);
  const int64_t R = tpa_rank(shape, config), D = shape.d_model;
  const auto options = gqa.q_weight.options();
  const auto add = [&](const std::string& name, const torch::Tensor& weight, const torch::Tensor& bias) {
    const HeadFactors factors = head_factors(shape, weight, bias, R, moment);
    const auto heads = factors.heads_NR.to(options).contiguous();
    if (config.contextual) {
      out[name + "_heads.weight"] = torch::zeros({shape.n_heads * R, D}, options);
      out[name + "_heads.bias"] = heads.flatten();
    } else {
      out[name + "_heads"] = heads;
    }
    store_rows(out, name + "_rows", factors.rows_RHx.flatten(0, 1), D, shape.qkv_bias, gqa.q_weight);
  };
  add("k", gqa.k_weight, gqa.k_bias);
  add("v", gqa.v_weight, gqa.v_bias);
  return out;
}

std::optional<BadInput> Tpa::problem(const AttentionShape& shape, const Config& config) {
  if (auto mla = mla_base_problem(shape)) return mla;
  if (shape.qk_norm)
    return BadInput{.key = "variant",
                    .found = "a base with norms of query and key heads",
                    .expected = "a base without: a norm of key heads does not commute with sums over them"};
  if (tpa_rank(shape, config) <= shape.n_kv_heads) return std::nullopt;
  return BadInput{.key = "rank",
                  .found = fmt::format("{}", *config.rank),
                  .expected = fmt::format("at most {}, which loses nothing", shape.n_kv_heads)};
}

bool Tpa::is_exact(const AttentionShape& shape, const Config& config) {
  return tpa_rank(shape, config) == shape.n_kv_heads;
}

int64_t Tpa::latent_rank(const AttentionShape& shape, const Config& config) { return tpa_rank(shape, config); }

std::optional<Tpa::Config> Tpa::with_cache(const AttentionShape& shape, int64_t numbers) {
  const int64_t rank = numbers / (2 * shape.head_dim);
  if (rank < 1) return std::nullopt;
  return Config{.rank = std::min(rank, shape.n_kv_heads)};
}

std::shared_ptr<Mixer> Tpa::make(const AttentionShape& shape, const Config& config) {
  const int64_t R = tpa_rank(shape, config);
  return std::make_shared<TpaAttention>(shape,
                                        TpaForm{.k_rank = R, .v_rank = R, .contextual = config.contextual});
}

TensorMap Tpa::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  return tpa_from_moments(shape, config, gqa, white_moment);
}

}  // namespace attnlab
