#include "attention/gqa.h"

#include "attention/attend.h"

namespace attnlab {

Gqa::Gqa(const AttentionShape& shape, const Config&)
    : Attention(shape), q_proj_(nullptr), k_proj_(nullptr), v_proj_(nullptr), o_proj_(nullptr) {
  const int64_t D = shape.d_model, q_width = shape.n_heads * shape.head_dim;
  const int64_t kv_width = shape.n_kv_heads * shape.head_dim;
  const auto linear = [](int64_t in, int64_t out, bool bias) {
    return torch::nn::Linear(torch::nn::LinearOptions(in, out).bias(bias));
  };
  q_proj_ = register_module("q_proj", linear(D, q_width, shape.qkv_bias));
  k_proj_ = register_module("k_proj", linear(D, kv_width, shape.qkv_bias));
  v_proj_ = register_module("v_proj", linear(D, kv_width, shape.qkv_bias));
  o_proj_ = register_module("o_proj", linear(q_width, D, shape.o_bias));
}

TensorMap Gqa::from_gqa(const AttentionShape&, const Config&, const GqaWeights& gqa) {
  TensorMap out = query_and_output(gqa);
  out["k_proj.weight"] = gqa.k_weight;
  out["v_proj.weight"] = gqa.v_weight;
  if (gqa.k_bias.defined()) out["k_proj.bias"] = gqa.k_bias;
  if (gqa.v_bias.defined()) out["v_proj.bias"] = gqa.v_bias;
  return out;
}

torch::Tensor Gqa::forward(const AttentionInput& input) {
  const int64_t T = input.x_BTD.size(1), S = input.cos_BSH.size(1);
  const auto cos_BTH = input.cos_BSH.narrow(1, S - T, T), sin_BTH = input.sin_BSH.narrow(1, S - T, T);
  const auto q_BNTH = apply_rotary(split_heads(q_proj_(input.x_BTD), shape_.n_heads), cos_BTH, sin_BTH);
  auto k_BGSH = apply_rotary(split_heads(k_proj_(input.x_BTD), shape_.n_kv_heads), cos_BTH, sin_BTH);
  auto v_BGSH = split_heads(v_proj_(input.x_BTD), shape_.n_kv_heads);
  if (input.cache) {
    k_BGSH = split_heads(input.cache->append(0, merge_heads(k_BGSH)), shape_.n_kv_heads);
    v_BGSH = split_heads(input.cache->append(1, merge_heads(v_BGSH)), shape_.n_kv_heads);
  }
  return o_proj_(merge_heads(attend(q_BNTH, k_BGSH, v_BGSH, input.mask_B1TS)));
}

std::vector<CacheSlot> Gqa::cache_layout() const {
  const int64_t width = shape_.n_kv_heads * shape_.head_dim;
  return {{"k", width}, {"v", width}};
}

}  // namespace attnlab
