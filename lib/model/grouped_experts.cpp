#include "model/grouped_experts.h"

#include "kernels/fused.h"
#include "kernels/grouped.h"

namespace attnlab {

torch::Tensor grouped_experts(const torch::Tensor& x_MD, const torch::Tensor& expert_Mk,
                              const torch::Tensor& weight_Mk, const ExpertMatrices& experts, bool gelu) {
  const int64_t k = expert_Mk.size(1);
  const auto [sorted_R, order_R] = torch::sort(expert_Mk.flatten(), /*stable=*/true, 0, false);
  const auto places_R = torch::argsort(order_R);
  const auto numbers_E = torch::arange(std::ssize(experts.gate), sorted_R.options());
  const auto ends_E = torch::searchsorted(sorted_R, numbers_E, /*out_int32=*/true, /*right=*/true);
  const auto x_RD = spread_rows(x_MD, torch::floor_divide(order_R, k), places_R);
  const auto gate = grouped_linear(x_RD, ends_E, experts.gate), up = grouped_linear(x_RD, ends_E, experts.up);
  const auto between = gelu ? at::gelu(gate, "tanh") * up : gated_silu(gate, up);
  const auto y_RD = grouped_linear(between, ends_E, experts.down);
  const auto y_MkD = spread_rows(y_RD, places_R, order_R).unflatten(0, {-1, k});
  return (y_MkD * weight_Mk.unsqueeze(-1)).sum(1);
}

}  // namespace attnlab
