// The GQA weights that variants are converted from.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "attention/variant.h"
#include "tensor/torch.h"

namespace attnlab {

// In Hugging Face's layout (rows are outputs). Undefined biases are absent ones.
struct GqaWeights {
  torch::Tensor q_weight, k_weight, v_weight, o_weight;  // [N·H, D], [G·H, D], [G·H, D], [D, N·H]
  torch::Tensor q_bias, k_bias, v_bias, o_bias;
  torch::Tensor q_norm, k_norm;  // [H], undefined without qk_norm
};

// Those that stand in a map under Hugging Face's names behind a prefix ("model.layers.0.self_attn.").
GqaWeights gqa_weights(const TensorMap& tensors, const std::string& prefix = "");

// [W | b]: the bias as a column of an input more that is always 1. `bias` may be undefined.
torch::Tensor with_bias(const torch::Tensor& weight, const torch::Tensor& bias);
// The first's, with keys and values as the mean of all.
GqaWeights with_mean_kv(const std::vector<GqaWeights>& layers);

// The parts that no variant changes, under their Hugging Face names: q_proj.*, o_proj.*, q_norm and k_norm.
TensorMap query_and_output(const GqaWeights& gqa);
// The same with k_proj.* and v_proj.*: all of GQA.
TensorMap all_projections(const GqaWeights& gqa);

}  // namespace attnlab
