// RWKV-6's time mixing (arXiv 2404.05892) on GQA's projections, as RADLADS (arXiv 2505.03005) reuses them:
// queries are the receptance, keys and values stay, repeated from KV to query heads.
//
//   m = tanh((x + (x̄ - x) μ_x) W₁) in five pieces, each times its W₂; x̄ the token before
//   x_y = x + (x̄ - x)(μ_y + m_y) for y in w, k, v, r, g
//   r = W_Q x_r, k = W_K x_k, v = W_V x_v, g = silu(W_g x_g + b_g), log decay w = -exp(w₀ + tanh(x_w A) B)
//   o_t = (S_{t-1} + (u ⊙ k_t) v_tᵀ)ᵀ r_t,  S_t = diag(e^w) S_{t-1} + k_t v_tᵀ
//   out = W_O (GroupNorm(o) ⊙ g)
//
// It starts with μ = 0 and W₁ = 0 (no shift), u = 1, g = 1 (W_g = 0; b_g is ours) and the published decays; no
// rotary.
//
// Kept: N·H² numbers of S and the token before, D, whatever the length.
#pragma once

#include "attention/state_variant.h"

namespace attnlab {

struct Rwkv6Options {
  std::optional<int64_t> lora_rank;
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(
        Key{"lora_rank", "width between the two matrices of the mixing and of w; absent: √d_model, at least 8"}
            .at_least(1),
        self.lora_rank);
  }
};

struct Rwkv6 : StateVariant<Rwkv6Options> {
  static constexpr std::string_view kName = "rwkv6";

  // A base whose attention is MLA already, with windows, capped scores or norms of query and key heads.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

}  // namespace attnlab
