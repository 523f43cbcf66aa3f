// Low-rank factors of a projection that lose least of its outputs.
#pragma once

#include <cstdint>

#include "tensor/torch.h"

namespace attnlab {

// y = W x + b as up · (down x + down_bias).
struct LowRank {
  torch::Tensor down, down_bias;  // [rank, D], [rank] or undefined
  torch::Tensor up;               // [rows, rank]
  torch::Tensor energies;         // [rows], descending: what each direction adds to Σ |y|²
};

// The best of this rank for inputs of second moment C, where `moment` [rows, rows] is W C Wᵀ, that of y (with
// b: of an input more that is always 1). The SVD W √C = P S Qᵀ, cut to `rank` and un-whitened with √C⁻¹, is P S
// Qᵀ √C⁻¹ = P Pᵀ W, P the leading eigenvectors of the moment: no D × D matrix is made, and none inverted. The
// energies are S²; what the cut loses of Σ |y|² is the sum of the discarded ones. All float64.
LowRank low_rank(const torch::Tensor& weight, const torch::Tensor& bias, const torch::Tensor& moment,
                 int64_t rank);

// The same factors with √S on either side, if energies are S².
LowRank balanced(const LowRank& factors);

// Share of the energies that the first `rank` directions hold.
double energy_kept(const torch::Tensor& energies, int64_t rank);

}  // namespace attnlab
