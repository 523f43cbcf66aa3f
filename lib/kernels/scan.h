// Mamba's recurrence as a kernel, on a GPU where the build has CUDA.
#pragma once

#include <cstdint>

#include "tensor/torch.h"

namespace attnlab {

// h_t = exp(Δ_t A) h_{t-1} + Δ_t x_t B_t,  y_t = Σ_s C_ts h_ts + D x_t, over a sequence's T tokens in `parts`
// of `length` (the last has what is left), apart from each other. x and B may be those of fewer heads, G each
// of its own, which then are N / G heads' each. Δ, A and D float32, x, B and C that or bfloat16; any strides.
struct ScanParts {
  int64_t parts = 1, length = 0;
  torch::Tensor x_BGTP, step_BNTP;
  bool raw_step = false;  // step is Δ in front of its softplus
  torch::Tensor A_NPS, B_BGTS, C_BNTS;
  torch::Tensor D_NP;         // undefined: 0
  torch::Tensor begins_BT;    // bool [B or 1, T], a document begins: nothing of before is seen; undefined: none
  torch::Tensor first_BNpPS;  // h before each part; undefined: 0
  bool wants_y = true;
};
// float32. y: undefined where it is not wanted; heads of a token lie side by side in memory.
struct ScannedParts {
  torch::Tensor y_BNTP, last_BNpPS;
};
// Whether scan_parts takes these: a GPU with kernels of our own and shared memory enough, these formats, S ≤
// 256.
bool fits_scan(const ScanParts& scan);
// Into how many parts a sequence of T tokens should be cut: parts are computed side by side, but two or more of
// them twice.
int64_t parts_for_scan(int64_t B, const torch::Tensor& A_NPS, int64_t T);
// Differentiable once, in all but begins. Gradients are summed in an order that the sizes alone decide.
ScannedParts scan_parts(const ScanParts& scan);

}  // namespace attnlab
