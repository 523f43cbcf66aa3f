// Second moments and their eigen-decompositions, in double.
#pragma once

#include <functional>

#include "tensor/torch.h"

namespace attnlab {

// The second moment Σ y yᵀ (float64) of y = W x + b over calibration tokens, W [rows, D], b [rows] or
// undefined.
using SecondMoment = std::function<torch::Tensor(const torch::Tensor& weight, const torch::Tensor& bias)>;
// The same as if x had mean 0 and covariance I: W Wᵀ (+ b bᵀ).
torch::Tensor white_moment(const torch::Tensor& weight, const torch::Tensor& bias);

struct Spectrum {
  torch::Tensor values;   // [n], descending
  torch::Tensor vectors;  // [n, n], column i belongs to values[i]; orthonormal
};

// Of a symmetric float64 matrix [n, n]; the result is on its device. Eigen for small ones, LAPACK (or the
// device's own solver) for large ones. The sign of a vector is free: its largest component is made positive.
Spectrum spectrum_of(const torch::Tensor& moment);

// moment + fraction · mean(diagonal) · I: what directions without data are given.
torch::Tensor damped(const torch::Tensor& moment, double fraction);

}  // namespace attnlab
