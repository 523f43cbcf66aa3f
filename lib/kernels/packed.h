// Products with matrices in the hub's packed layout (quantize/packed_matrix.h) on a GPU, where the build has
// CUDA.
#pragma once

#include <vector>

#include "tensor/torch.h"

namespace attnlab {

struct PackedTensors {
  torch::Tensor qweight, qzeros, scales, g_idx;
  torch::Tensor order = {};  // PackedMatrix's: groups are in order then
  int64_t bits;              // 2, 3, 4 or 8
  int64_t group;             // columns of a group, groups in order; 0: g_idx says
  int64_t zero_offset;       // between what qzeros hold and a zero point
};

// Whether there are kernels for this matrix: on a GPU, with scales of half precision.
bool has_packed_kernels(const PackedTensors& packed);
// Whether multiply_packed takes x [..., in] too: 16 rows at most, of bfloat16 or half precision, which ask for
// no gradient.
bool fits_multiply_packed(const torch::Tensor& x, const PackedTensors& packed);
// x Wᵀ (+ bias [out], in x's format), W dequantised on the way to the product: the words are read once, and
// nothing else is written. Sums are float32, a bias is added before the one rounding. Groups in order whose
// columns are a multiple of a step (64, 32, 32, 16 for 2, 3, 4, 8 bits): scales count in float32; else weights
// are rounded to x's format.
torch::Tensor multiply_packed(const torch::Tensor& x, const PackedTensors& packed,
                              const torch::Tensor& bias = {});

// One of several matrices that multiply one x.
struct PackedFactor {
  PackedTensors packed;
  torch::Tensor bias = {};  // or [out]
};
// Whether one launch takes them, 4 at most: packed alike, groups in one order (the same tensor says so), biases
// in x's format.
bool fit_multiply_packed(const torch::Tensor& x, const std::vector<PackedFactor>& factors);
// [..., Σ out]
torch::Tensor multiply_packed(const torch::Tensor& x, const std::vector<PackedFactor>& factors);

// Wᵀ [in, out] in float32, bfloat16 or half precision, rounded once. Needs has_packed_kernels(packed).
torch::Tensor dequantise_packed(const PackedTensors& packed, torch::ScalarType dtype);

}  // namespace attnlab
