// RWKV-7's time mixing (arXiv 2503.14456) on GQA's projections, as RADLADS (arXiv 2505.03005) reuses them:
// queries are the receptance, keys and values stay, repeated from KV to query heads.
//
//   x_y = x + (x̄ - x) μ_y for y in r, w, k, v, a, g; x̄ the token before
//   r = W_Q x_r, k = W_K x_k, v = W_V x_v, g = σ(x_g G₁) G₂
//   w = -softplus(-(w₀ + tanh(x_w W₁) W₂)) - 0.5, decay d = exp(-e^w);  α = σ(a₀ + (x_a A₁) A₂)
//   κ = k ⊙ k_k, normed by head;  k ← k ⊙ (1 + (α - 1) k_a)
//   S_t = S_{t-1} diag(d) - (S_{t-1} κ)(κ ⊙ α)ᵀ + v kᵀ,  o = S_t r
//   out = W_O ((GroupNorm(o) + (Σ_head r k r_k) v) ⊙ g)
//
// It starts with μ = 0 (no shift), g = 1 and the published decays; no rotary. The published mixing of layer 0's
// values into later layers' is left out: a mixer sees its own layer.
//
// Kept: N·H² numbers of S and the token before, D, whatever the length.
#pragma once

#include "attention/state_variant.h"

namespace attnlab {

struct Rwkv7Options {
  std::optional<int64_t> lora_rank;
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(
        Key{"lora_rank", "width between the two matrices of w, α and g; absent: √d_model, at least 8"}.at_least(
            1),
        self.lora_rank);
  }
};

struct Rwkv7 : StateVariant<Rwkv7Options> {
  static constexpr std::string_view kName = "rwkv7";

  // A base whose attention is MLA already, with windows, capped scores or norms of query and key heads.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

}  // namespace attnlab
