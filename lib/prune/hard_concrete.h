// Masks that are exactly 0 or 1 with a chance, and have a gradient: the hard concrete distribution (Louizos,
// Welling, Kingma, arXiv 1712.01312), as Sheared LLaMA (arXiv 2310.06694) uses it. Each has one parameter α;
// with β the temperature, stretched to [l, r] = [-0.1, 1.1].
#pragma once

#include "tensor/torch.h"

namespace attnlab {

inline constexpr double kMaskTemperature = 2.0 / 3;
inline constexpr double kMaskLow = -0.1, kMaskHigh = 1.1;
// u of sampled masks lies this far inside of 0 and 1, and probabilities do.
inline constexpr double kMaskEdge = 1e-6;

// Holds α to [ln 0.01, ln 100], by assignment: gradients pass. To be called before every use.
void clamp_mask_parameter(torch::Tensor& alpha);
// z = clamp(s (r - l) + l, 0, 1), s = σ((ln u - ln(1 - u) + α) / β), u uniform.
torch::Tensor sampled_mask(const torch::Tensor& alpha, const torch::Tensor& uniform);
// The chance that z is not 0: 1 - clamp(σ(β ln(-l / r) - α)).
torch::Tensor kept_chance(const torch::Tensor& alpha);
// 1 - mean chance over the last axis.
torch::Tensor expected_sparsity(const torch::Tensor& alpha);
// z = σ(0.8 α / β), and in each row (over the last axis) the lowest `zeros` numbers set to 0; `zeros` < 0: as
// many as are expected, rounded.
torch::Tensor evaluated_mask(const torch::Tensor& alpha, int64_t zeros = -1);

}  // namespace attnlab
