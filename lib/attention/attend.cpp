#include "attention/attend.h"

#include <cmath>

#include "core/errors.h"

namespace attnlab {

RotaryTables rotary_tables(const torch::Tensor& positions_BT, int64_t head_dim, double theta,
                           torch::ScalarType dtype) {
  const auto options = torch::TensorOptions().dtype(torch::kFloat32).device(positions_BT.device());
  const auto exponents = torch::arange(0, head_dim, 2, options) / static_cast<double>(head_dim);
  const auto frequencies = torch::pow(theta, exponents).reciprocal();
  const auto angles = positions_BT.to(torch::kFloat32).unsqueeze(-1) * frequencies;
  const auto both = torch::cat({angles, angles}, -1);
  return {both.cos().to(dtype), both.sin().to(dtype)};
}

torch::Tensor apply_rotary(const torch::Tensor& x_BNTH, const torch::Tensor& cos_BTH,
                           const torch::Tensor& sin_BTH) {
  const auto halves = x_BNTH.chunk(2, -1);
  const int64_t half = halves[0].size(-1);
  const auto cos = cos_BTH.narrow(-1, 0, half).unsqueeze(1), sin = sin_BTH.narrow(-1, 0, half).unsqueeze(1);
  const auto first = torch::addcmul(halves[0] * cos, halves[1], sin, -1);
  const auto second = torch::addcmul(halves[1] * cos, halves[0], sin);
  // Under autocast, float32 tables promote the product; keys must not become wider than queries' projections.
  return torch::cat({first, second}, -1).to(x_BNTH.scalar_type());
}

torch::Tensor split_heads(const torch::Tensor& x_BTW, int64_t heads) {
  return x_BTW.view({x_BTW.size(0), x_BTW.size(1), heads, -1}).transpose(1, 2);
}

torch::Tensor merge_heads(const torch::Tensor& x_BNTH) { return x_BNTH.transpose(1, 2).flatten(2); }

namespace {
// One new token: the query heads of a KV head stand where its T queries would, so that the cache is read once
// per KV head. On a CPU, 2.2 times as fast as enable_gqa and 5 times as fast as repeating heads (16 rows of 256
// tokens, 8/2 heads of 32); on a GPU as fast as enable_gqa.
torch::Tensor attend_one(const torch::Tensor& q_BN1H, const torch::Tensor& k_BGSH, const torch::Tensor& v_BGSH,
                         const std::optional<torch::Tensor>& mask_B11S) {
  const int64_t B = q_BN1H.size(0), N = q_BN1H.size(1), G = k_BGSH.size(1);
  const auto q_BGnH = q_BN1H.reshape({B, G, N / G, q_BN1H.size(3)});
  return at::scaled_dot_product_attention(q_BGnH, k_BGSH, v_BGSH, mask_B11S).reshape({B, N, 1, v_BGSH.size(3)});
}
}  // namespace

// Many queries: enable_gqa reads each KV head once for its N / G query heads. Against repeated heads, forward
// and backward take 2/3 of the time on an H100 (forward alone 1/2, with 1/3 of the memory) and 9/10 on a CPU.
torch::Tensor attend(const torch::Tensor& q_BNTH, const torch::Tensor& k_BGSH, const torch::Tensor& v_BGSH,
                     const torch::Tensor& mask_B1TS) {
  const int64_t T = q_BNTH.size(2), S = k_BGSH.size(2);
  const auto mask = mask_B1TS.defined() ? std::optional<torch::Tensor>(mask_B1TS) : std::nullopt;
  const bool grouped = q_BNTH.size(1) != k_BGSH.size(1);
  if (T == 1 && grouped) return attend_one(q_BNTH, k_BGSH, v_BGSH, mask);
  const bool causal = !mask && T > 1;
  ATTNLAB_CHECK(!causal || T == S);
  return at::scaled_dot_product_attention(q_BNTH, k_BGSH, v_BGSH, mask, 0.0, causal, std::nullopt, grouped);
}

torch::Tensor attention_weights(const torch::Tensor& q_BNTH, const torch::Tensor& k_BNSH,
                                const torch::Tensor& mask_B1TS) {
  const int64_t T = q_BNTH.size(2), S = k_BNSH.size(2);
  const double scale = 1.0 / std::sqrt(static_cast<double>(q_BNTH.size(3)));
  auto scores = torch::matmul(q_BNTH * scale, k_BNSH.transpose(-2, -1));
  auto allowed = mask_B1TS;
  if (!allowed.defined() && T > 1)
    allowed = torch::ones({T, S}, scores.options().dtype(torch::kBool)).tril(S - T);
  if (allowed.defined()) scores = scores.masked_fill(allowed.logical_not(), -INFINITY);
  return torch::softmax(scores, -1);
}

}  // namespace attnlab
