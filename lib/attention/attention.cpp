#include "attention/attention.h"

namespace attnlab {

// 2 FLOPs per weight of each matrix, plus q·k and p·v: 2·2·N·H per (query, key) pair, (T + 1) / 2 keys a query.
double Attention::forward_flops_per_token(int64_t T) const {
  double flops = 0;
  for (const auto& parameter : parameters())
    if (parameter.dim() == 2) flops += 2.0 * static_cast<double>(parameter.numel());
  const auto width = static_cast<double>(shape_.n_heads * shape_.head_dim);
  return flops + 4.0 * width * static_cast<double>(T + 1) / 2.0;
}

TensorMap query_and_output(const GqaWeights& gqa) {
  TensorMap out{{"q_proj.weight", gqa.q_weight}, {"o_proj.weight", gqa.o_weight}};
  if (gqa.q_bias.defined()) out["q_proj.bias"] = gqa.q_bias;
  if (gqa.o_bias.defined()) out["o_proj.bias"] = gqa.o_bias;
  return out;
}

int64_t cached_numbers(const std::vector<CacheSlot>& layout) {
  int64_t total = 0;
  for (const auto& slot : layout) total += slot.width;
  return total;
}

}  // namespace attnlab
