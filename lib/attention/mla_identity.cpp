#include "attention/mla_identity.h"

#include "attention/latent_attention.h"

namespace attnlab {

std::shared_ptr<Mixer> MlaIdentity::make(const AttentionShape& shape, const Config& config) {
  return std::make_shared<LatentAttention>(shape, per_kv_head(shape, shape.head_dim), config.absorb);
}

TensorMap MlaIdentity::from_gqa(const AttentionShape& shape, const Config&, const GqaWeights& gqa) {
  TensorMap out = all_projections(gqa);
  out["k_up_proj.weight"] = repetition_matrix(shape, gqa.k_weight.options());
  out["v_up_proj.weight"] = repetition_matrix(shape, gqa.v_weight.options());
  return out;
}

}  // namespace attnlab
