// Grids of integers that stand for the numbers of a row: w ≈ scale · (q - zero), q from 0 to 2^bits - 1.
//
// Shapes: O rows (outputs), C columns of a group.
#pragma once

#include "quantize/quantize_options.h"
#include "tensor/torch.h"

namespace attnlab {

struct QuantGrid {
  torch::Tensor scale_O, zero_O;  // float32; zero holds whole numbers
};

// The grid of each row of w [O, C], over its range with 0 in it, xmin = min(w, 0) and xmax = max(w, 0):
//   asymmetric  scale = (xmax - xmin) / (2^b - 1), zero = round(-xmin / scale);
//   symmetric   the larger of the two ends, on both sides of 0; zero = 2^(b-1). `halve_nonnegative`: a row
//               without negative numbers keeps xmin = 0, so that the upper half of its range is clamped (as
//               public GPTQ code does it);
//   all zero    as if the range were -1 to 1.
// `mse`: both ends times the p = 1 - i / 100, i < 80, with the least Σ |ŵ - w|^2.4.
QuantGrid find_grid(const torch::Tensor& w_OC, const GridOptions& options);

// clamp(round(w / scale) + zero, 0, 2^b - 1), rounding halves to even; float32 of whole numbers.
torch::Tensor quantise(const torch::Tensor& w_OC, const QuantGrid& grid, int64_t bits);
// scale · (q - zero).
torch::Tensor dequantise(const torch::Tensor& q_OC, const QuantGrid& grid);

}  // namespace attnlab
