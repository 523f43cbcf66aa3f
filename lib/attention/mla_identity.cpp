#include "attention/mla_identity.h"

namespace attnlab {

TensorMap MlaIdentity::from_gqa(const AttentionShape& shape, const Config&, const GqaWeights& gqa) {
  TensorMap out = query_and_output(gqa);
  out["k_proj.weight"] = gqa.k_weight;
  out["v_proj.weight"] = gqa.v_weight;
  if (gqa.k_bias.defined()) out["k_proj.bias"] = gqa.k_bias;
  if (gqa.v_bias.defined()) out["v_proj.bias"] = gqa.v_bias;
  out["k_up_proj.weight"] = repetition_matrix(shape, gqa.k_weight.options());
  out["v_up_proj.weight"] = repetition_matrix(shape, gqa.v_weight.options());
  return out;
}

}  // namespace attnlab
