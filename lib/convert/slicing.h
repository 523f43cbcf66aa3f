// The mathematics of SliceGPT (arXiv 2401.15024): norms fused into what reads them, principal directions of
// signals, matrices in those directions.
//
// Shapes: D d_model, d numbers that are kept, P tokens.
#pragma once

#include "tensor/torch.h"

namespace attnlab {

// y = W x + b behind a norm with weight γ and, in LayerNorm, bias β: (W diag(γ), b + W β). Undefined parts are
// left out.
struct AffineMap {
  torch::Tensor weight, bias;
};
AffineMap fused_with_norm(const AffineMap& reader, const torch::Tensor& gamma, const torch::Tensor& beta = {});
// What writes into a stream that LayerNorm reads: its outputs less their mean, W - mean over rows, b alike.
// Then that norm is an RMS norm.
AffineMap centred(const AffineMap& writer);

// Σ x xᵀ over signals x [B, T, D], in float64; `valid` bool [B, T], or undefined: all.
torch::Tensor signal_moment(const torch::Tensor& x_BTD, const torch::Tensor& valid_BT);

// The directions that such a moment says.
struct PrincipalDirections {
  torch::Tensor basis_DD;       // columns, descending; float64
  torch::Tensor eigenvalues_D;  // of the moment with a hundredth of its mean diagonal on the diagonal
};
PrincipalDirections principal_directions(const torch::Tensor& moment_DD);

}  // namespace attnlab
