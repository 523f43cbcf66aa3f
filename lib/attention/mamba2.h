// Mamba-2 (arXiv 2405.21060) on GQA's projections, as Mamba-in-the-Llama (arXiv 2408.15237) maps them: x is the
// values, B the keys, C the queries, the state H × H per query head.
//
//   [x, B, C] = σ(conv([W_V u, W_K u, W_Q u])),   Δ = softplus(W_dt u + dt_bias)
//   h_t = exp(-e^{A_log} Δ_t) h_{t-1} + Δ_t x_t B_tᵀ,   y_t = h_t C_t + D x_t
//   out = W_O RMSNorm_head(y ⊙ γ(W_z u))
//
// x and B are repeated from KV to query heads behind the convolution. `opened` starts as causal linear
// attention with a decay (MOHAWK's options, arXiv 2408.10189): no σ, γ(z) = 1 + z with W_z = 0, the convolution
// the identity, W_dt = 0, D = 0, and rotary position on B and C. `mamba_in_the_llama`: σ = γ = silu, a random
// convolution, no rotary.
//
// Kept: N·H·H numbers of h and (K - 1) inputs of the convolution, whatever the length.
#pragma once

#include "attention/state_variant.h"

namespace attnlab {

enum class Mamba2Start { opened, mamba_in_the_llama };
template <>
struct EnumNames<Mamba2Start> {
  static constexpr std::array<std::pair<std::string_view, Mamba2Start>, 2> rows{
      {{"opened", Mamba2Start::opened}, {"mamba_in_the_llama", Mamba2Start::mamba_in_the_llama}}};
};

struct Mamba2Options {
  Mamba2Start start = Mamba2Start::opened;
  std::optional<bool> rotary;
  int64_t conv_kernel = 4;
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(Key{"start", "opened (linear attention with a decay) or mamba_in_the_llama"}, self.start);
    visit(Key{"rotary", "rotary position on B and C; absent: where the start is opened"}, self.rotary);
    visit(Key{"conv_kernel", "tokens that the short convolution sees"}.at_least(1), self.conv_kernel);
  }
  bool turns() const { return rotary.value_or(start == Mamba2Start::opened); }
};

struct Mamba2 : StateVariant<Mamba2Options> {
  static constexpr std::string_view kName = "mamba2";

  // A base whose attention is MLA already, with windows or with capped scores.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

}  // namespace attnlab
