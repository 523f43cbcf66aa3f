// Linear attention (Linear Transformer, arXiv 2006.16236) on GQA's projections, as T2R (arXiv 2103.13076) and
// LoLCATs (arXiv 2410.10254) start it: rotary first, then a feature map, and sums in place of the softmax
// (linear_mixer.h). Nothing of its start is exact: training must recover it.
//
// Kept: S and z, F·(H + 1) numbers for each head that keeps a state, whatever the length.
#pragma once

#include "attention/feature_map.h"
#include "attention/state_variant.h"

namespace attnlab {

struct LinearAttentionOptions {
  FeatureMapKind feature_map = FeatureMapKind::hedgehog;
  bool by_query_head = false;
  bool rotary = true;
  double eps = 1e-12;
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit_linear_options(self, visit);
  }
};

struct LinearAttention : StateVariant<LinearAttentionOptions> {
  static constexpr std::string_view kName = "linear_attention";

  // A base whose attention is MLA already, with windows or with capped scores.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  static std::shared_ptr<Mixer> make(const AttentionShape& shape, const Config& config);
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);
};

}  // namespace attnlab
