// How far layers are from a teacher's. Means over what comes from micro-batches are the caller's: what is
// summed over rows can be divided by the rows of all of them.
//
// Shapes: B batch, T tokens, D d_model, N heads.
#pragma once

#include <vector>

#include "tensor/torch.h"

namespace attnlab {

// Σ over rows of ‖a - b‖₂ over the last dimension, in float32 (float64 for float64 inputs). Not squared, as
// MOHAWK (arXiv 2408.10189, stage 2) and Zebra-Llama (arXiv 2505.17272, ILD) have it: then the gradient has
// length 1 up to agreement, where it would not be defined. √(‖·‖² + ε²) with ε = 10⁻⁶ makes it vanish there; a
// distance d is too long by less than ε² / 2d.
torch::Tensor summed_distance(const torch::Tensor& a, const torch::Tensor& b);

// Per layer a tensor; all the losses below are scalars.
using Layers = std::vector<torch::Tensor>;

// Σ over layers of the mean over tokens of the distance, of [B, T, D] each.
torch::Tensor mean_distances(const Layers& student, const Layers& teacher);

// Σ over layers of the mean over batch and heads of ‖M - A‖_F, of mixing matrices [B, N, T, T] each (MOHAWK,
// stage 1).
torch::Tensor matrix_distances(const Layers& student, const Layers& teacher);

// The mean over layers of the mean squared error, of [B, T, D] each (LoLCATs, arXiv 2410.10254, which
// multiplies it by 1000).
torch::Tensor mean_squared_errors(const Layers& student, const Layers& teacher);

// The mean over layers and rows of -Σ A ln (M / Σ M), of attention rows [B, N, T, T], A's summing to 1
// (LoLCATs).
torch::Tensor row_cross_entropies(const Layers& student, const Layers& teacher);

}  // namespace attnlab
