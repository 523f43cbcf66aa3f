// Eigen-decompositions of second moments, in double.
#pragma once

#include "tensor/torch.h"

namespace attnlab {

struct Spectrum {
  torch::Tensor values;   // [n], descending
  torch::Tensor vectors;  // [n, n], column i belongs to values[i]; orthonormal
};

// Of a symmetric float64 matrix [n, n]; the result is on its device. Eigen for small ones, LAPACK (or the
// device's own solver) for large ones. The sign of a vector is free: its largest component is made positive.
Spectrum spectrum_of(const torch::Tensor& moment);

// moment + fraction · mean(diagonal) · I: what directions without data are given.
torch::Tensor damped(const torch::Tensor& moment, double fraction);

// The second moment W Wᵀ (+ b bᵀ) of y = W x + b, as if x had mean 0 and covariance I. `bias` may be undefined.
torch::Tensor white_moment(const torch::Tensor& weight, const torch::Tensor& bias);

}  // namespace attnlab
