#include "attention/gqa.h"

namespace attnlab {

Gqa::Gqa(const AttentionShape& shape, const Config&)
    : Attention(shape), q_proj_(nullptr), k_proj_(nullptr), v_proj_(nullptr), o_proj_(nullptr) {
  const int64_t D = shape.d_model, q_width = shape.n_heads * shape.head_dim;
  const int64_t kv_width = shape.n_kv_heads * shape.head_dim;
  q_proj_ = register_module("q_proj", Linear(D, q_width, shape.qkv_bias));
  k_proj_ = register_module("k_proj", Linear(D, kv_width, shape.qkv_bias));
  v_proj_ = register_module("v_proj", Linear(D, kv_width, shape.qkv_bias));
  o_proj_ = register_module("o_proj", Linear(q_width, D, shape.o_bias));
  norm_ = QkNorm(*this, shape);
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
  const auto q_BNTH =
      apply_rotary(norm_.query(split_heads(q_proj_(input.x_BTD), shape_.n_heads)), cos_BTH, sin_BTH);
  auto k_BGSH = apply_rotary(norm_.key(split_heads(k_proj_(input.x_BTD), shape_.n_kv_heads)), cos_BTH, sin_BTH);
  auto v_BGSH = split_heads(v_proj_(input.x_BTD), shape_.n_kv_heads);
  if (input.cache) {
    k_BGSH = split_heads(input.cache->append(0, merge_heads(k_BGSH)), shape_.n_kv_heads);
    v_BGSH = split_heads(input.cache->append(1, merge_heads(v_BGSH)), shape_.n_kv_heads);
  }
  const auto mask = last_columns(input.mask_B1TS, k_BGSH.size(2));
  return o_proj_(merge_heads(attend(q_BNTH, k_BGSH, v_BGSH, mask, shape_.score)));
}

std::vector<CacheSlot> Gqa::cache_layout() const {
  const int64_t width = shape_.n_kv_heads * shape_.head_dim;
  return {{"k", width}, {"v", width}};
}

}  // namespace attnlab
