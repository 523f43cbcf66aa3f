// MiniCache (arXiv 2405.14366): two neighbouring layers keep one direction for each token, and each its length.
#pragma once

#include "tensor/torch.h"

namespace attnlab {

// Of tokens a (lower layer) and b (upper), [..., W]:
//   e = [sin((1 - t) Ω) â + sin(t Ω) b̂] / sin Ω, normed, with Ω the angle between them,
// where sin Ω < 1e-6 a straight mix. A vector of zeros has direction 0. At Ω = π no direction is
// between them.
struct MergedTokens {
  torch::Tensor direction;       // [..., W]
  torch::Tensor norm_a, norm_b;  // [...]
  torch::Tensor angle;           // [...], 0 … π
  torch::Tensor opposite;        // bool [...]: Ω = π
};
MergedTokens merge_tokens(const torch::Tensor& a, const torch::Tensor& b, double t);

// What is read of one of the two: norm · e.
torch::Tensor read_merged(const torch::Tensor& direction, const torch::Tensor& norm);

// Which tokens stay as they are in both layers. `far`: those whose angle is above max - γ (max - min), as text
// and figures of the paper say; `near`: below min + γ (max - min), as its equation says.
enum class RetainRule { far, near };
// The bound, [..., 1], of angles [..., S] where `counted` (undefined: all).
torch::Tensor retain_bound(const torch::Tensor& angle, const torch::Tensor& counted, double gamma,
                           RetainRule rule);
torch::Tensor retained(const MergedTokens& merged, const torch::Tensor& bound, RetainRule rule);

}  // namespace attnlab
