// Matrices as integers: round to nearest, and GPTQ (arXiv 2210.17323), which lets the columns that are still to
// come make up for the error of those that are rounded.
//
// Shapes: O rows (outputs), I columns (inputs), C groups of columns.
#pragma once

#include "quantize/grid.h"
#include "tensor/torch.h"

namespace attnlab {

struct QuantizedMatrix {
  torch::Tensor ints_OI;              // uint8, columns in the matrix's own order
  torch::Tensor scales_OC, zeros_OC;  // float32
  torch::Tensor g_idx_I;              // int32: which group a column is of
};

// scale · (q - zero) by the columns' groups, float32.
torch::Tensor dequantised(const QuantizedMatrix& matrix);

// H = 2/n Σ x xᵀ, n counted in sequences as public code does (it cancels: damping is relative), of Σ x xᵀ over
// all tokens.
torch::Tensor gptq_hessian(const torch::Tensor& moment_II, int64_t sequences);

// ½ tr((W - Ŵ) H (W - Ŵ)ᵀ), in float64, where the Hessian lies.
double half_trace_error(const torch::Tensor& weight, const torch::Tensor& other, const torch::Tensor& hessian);

// Each group of columns on its own grid.
QuantizedMatrix round_to_nearest(const torch::Tensor& weight_OI, const GridOptions& grid, int64_t group_size);

// GPTQ with the layer's Hessian [I, I]. Columns whose inputs are always 0 become 0. With groups smaller than a
// block, a group that starts inside one takes its grid from the matrix as it was when the block began: public
// code does so, and results of others can be compared. Columns of equal diagonal keep their order under
// act_order. The factor of H⁻¹ is computed in float64 where the Hessian lies, rows on the CPU in float32, each
// on its own. Where H + damping is not positive definite in float64, damping grows by itself (`damping_used`).
QuantizedMatrix gptq(const torch::Tensor& weight_OI, const torch::Tensor& hessian_II,
                     const GptqOptions& options, int64_t least_zero = 0, double* damping_used = nullptr);

}  // namespace attnlab
