// Linear attention whose state decays as Mamba-2's does (arXiv 2405.21060): what makes the two comparable.
//
//   S_t = exp(-exp(A_log) softplus(W_dt x + dt_bias)) S_{t-1} + φ(k_t) v_tᵀ, and z_t likewise (linear_mixer.h)
//
// W_dt starts as 0 and the decays as Mamba-2's; the rest as in linear_attention.h.
#pragma once

#include "attention/feature_map.h"
#include "attention/state_variant.h"

namespace attnlab {

struct GatedLinearOptions {
  FeatureMapKind feature_map = FeatureMapKind::hedgehog;
  bool by_query_head = false;
  bool rotary = true;
  double eps = 1e-12;
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit_linear_options(self, visit);
  }
};

struct GatedLinear : StateVariant<GatedLinearOptions> {
  static constexpr std::string_view kName = "gated_linear";

  // A base whose attention is MLA already, with windows or with capped scores.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

}  // namespace attnlab
