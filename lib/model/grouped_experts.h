// A mixture's experts as groups of rows, so that the host need not know how many tokens each of them got.
//
// M tokens, D d_model, E experts, k of them per token, R = M · k rows.
#pragma once

#include <vector>

#include "tensor/torch.h"

namespace attnlab {

// Of all experts: E matrices of one shape each.
struct ExpertMatrices {
  std::vector<torch::Tensor> gate, up, down;
};

// Σ_j weight_mj expert_mj(x_m), [M, D], with experts W_down (act(W_gate x) ∘ W_up x). expert_Mk: int64. The sum
// is taken in the wider format of x and the weights. All experts have a gradient: zeros where none of the
// tokens chose one.
torch::Tensor grouped_experts(const torch::Tensor& x_MD, const torch::Tensor& expert_Mk,
                              const torch::Tensor& weight_Mk, const ExpertMatrices& experts, bool gelu);

}  // namespace attnlab
