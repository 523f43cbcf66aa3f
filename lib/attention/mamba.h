// Mamba (arXiv 2312.00752) on GQA's projections, as Mamba-in-the-Llama (arXiv 2408.15237) maps them: x is the
// values, B the keys, C the queries; each channel of a query head has H state numbers, each with a decay of its
// own.
//
//   x = silu(conv(W_V u)),  B = W_K u,  C = W_Q u,  Δ = softplus(W_dt W_δ u + dt_bias)
//   h_t = exp(Δ_t A) ⊙ h_{t-1} + Δ_t x_t B_tᵀ,  A = -exp(A_log) = -(1 … H) at first;   y_t = h_t C_t + D x_t
//   out = W_O (y ⊙ silu(W_z u + b_z))
//
// x and B are repeated from KV to query heads. No rotary. The convolution starts as the identity and the gate
// open (W_z = 0, silu(b_z) = 1), as in MOHAWK (arXiv 2408.10189).
//
// Kept: N·H·H numbers of h and (K - 1)·G·H inputs of the convolution, whatever the length.
#pragma once

#include "attention/state_variant.h"

namespace attnlab {

struct MambaOptions {
  int64_t conv_kernel = 4;
  std::optional<int64_t> dt_rank;
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"conv_kernel", "tokens that the short convolution sees"}.at_least(1), self.conv_kernel);
    visit(
        Key{"dt_rank", "width between the two matrices of the step; absent: d_model / 16, rounded up"}.at_least(
            1),
        self.dt_rank);
  }
};

struct Mamba : StateVariant<MambaOptions> {
  static constexpr std::string_view kName = "mamba";

  // A base whose attention is MLA already, with windows, capped scores or norms of query and key heads.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

}  // namespace attnlab
