// The conversion of a GQA layer into MHA2MLA's form (mha2mla.h), stage by stage.
#pragma once

#include "attention/gqa_weights.h"
#include "attention/mha2mla.h"

namespace attnlab {

// First rotary is removed from all but the given frequencies [G, r/2]: the variant
// with this config's r at full rank.
TensorMap select_rope_layer(const AttentionShape& shape, const GqaWeights& gqa,
                            const torch::Tensor& frequencies);
struct JointSvdLayer {
  TensorMap tensors;
  double kv_energy_kept = 1;  // share of the squared singular values
};
// Then the SVD of [W_k_nope; W_v] (its bias as one column more) takes the latent's place, √S on both sides.
// `selected`: what select_rope_layer gave.
JointSvdLayer joint_svd_layer(const TensorMap& selected, int64_t kv_lora_rank);

}  // namespace attnlab
