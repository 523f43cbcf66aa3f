// Rows that are sorted into groups, and their products with the matrix of their group: a mixture's experts.
//
// E groups, M tokens of which each stands in k rows, R = M · k rows; D, K and N numbers of a row.
#pragma once

#include <vector>

#include "tensor/torch.h"

namespace attnlab {

// Whether grouped_linear reads nothing back from this device: torch's grouped product, for bfloat16 on Hopper
// and rows of a multiple of 8 numbers.
bool has_grouped_products(torch::Device device, torch::ScalarType dtype);

// Each row times the transposed matrix of its group: [R, K] → [R, N], in x's format. `weights`: a matrix [N, K]
// for each group, cast where their format differs. `ends_E`, int32 on x's device: behind which row each group
// ends, the last one R. A group may be empty; its matrix then has a gradient of zeros. Matrices that lie side
// by side are read where they are, others are copied for the product. Differentiable once.
torch::Tensor grouped_linear(const torch::Tensor& x_RK, const torch::Tensor& ends_E,
                             const std::vector<torch::Tensor>& weights);

// From now on these parameters of one shape and format are views, in their order, of one tensor. Nothing
// happens where they are so already, or where some share their memory with others.
void stack_in_place(const std::vector<torch::Tensor>& parameters);

// scores_ME's numbers at places_Mk, which differ within a row: a gather, whose gradient on a GPU is no scatter,
// which torch, where it is to be deterministic, makes of several operations that need not be recordable.
// Differentiable once.
torch::Tensor chosen_scores(const torch::Tensor& scores_ME, const torch::Tensor& places_Mk);

// x_MD's rows from_R, [R, D], of which token m's are those that `places_R` names from m · k on: the gradient is
// summed in that order, without atomic additions. Differentiable once.
torch::Tensor spread_rows(const torch::Tensor& x_MD, const torch::Tensor& from_R,
                          const torch::Tensor& places_R);

}  // namespace attnlab
