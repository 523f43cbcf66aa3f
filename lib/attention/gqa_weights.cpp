#include "attention/gqa_weights.h"

namespace attnlab {

GqaWeights gqa_weights(const TensorMap& tensors, const std::string& prefix) {
  const auto find = [&](const char* name) {
    const auto found = tensors.find(prefix + name);
    return found == tensors.end() ? torch::Tensor() : found->second;
  };
  return {.q_weight = find("q_proj.weight"),
          .k_weight = find("k_proj.weight"),
          .v_weight = find("v_proj.weight"),
          .o_weight = find("o_proj.weight"),
          .q_bias = find("q_proj.bias"),
          .k_bias = find("k_proj.bias"),
          .v_bias = find("v_proj.bias"),
          .o_bias = find("o_proj.bias"),
          .q_norm = find("q_norm.weight"),
          .k_norm = find("k_norm.weight")};
}

torch::Tensor with_bias(const torch::Tensor& weight, const torch::Tensor& bias) {
  return bias.defined() ? torch::cat({weight, bias.unsqueeze(1)}, 1) : weight;
}

TensorMap query_and_output(const GqaWeights& gqa) {
  TensorMap out{{"q_proj.weight", gqa.q_weight}, {"o_proj.weight", gqa.o_weight}};
  if (gqa.q_bias.defined()) out["q_proj.bias"] = gqa.q_bias;
  if (gqa.o_bias.defined()) out["o_proj.bias"] = gqa.o_bias;
  if (gqa.q_norm.defined()) out["q_norm.weight"] = gqa.q_norm;
  if (gqa.k_norm.defined()) out["k_norm.weight"] = gqa.k_norm;
  return out;
}

TensorMap all_projections(const GqaWeights& gqa) {
  TensorMap out = query_and_output(gqa);
  out["k_proj.weight"] = gqa.k_weight;
  out["v_proj.weight"] = gqa.v_weight;
  if (gqa.k_bias.defined()) out["k_proj.bias"] = gqa.k_bias;
  if (gqa.v_bias.defined()) out["v_proj.bias"] = gqa.v_bias;
  return out;
}

GqaWeights with_mean_kv(const std::vector<GqaWeights>& layers) {
  GqaWeights out = layers.at(0);
  if (layers.size() == 1) return out;
  for (auto part : {&GqaWeights::k_weight, &GqaWeights::v_weight, &GqaWeights::k_bias, &GqaWeights::v_bias,
                    &GqaWeights::k_norm}) {
    if (!(out.*part).defined()) continue;
    std::vector<torch::Tensor> all;
    for (const auto& layer : layers) all.push_back((layer.*part).to(torch::kFloat64));
    out.*part = torch::stack(all).mean(0).to((out.*part).scalar_type());
  }
  return out;
}

}  // namespace attnlab
