// Mamba's recurrence as a kernel, on a GPU where the build has CUDA.
#pragma once

#include <cstdint>

#include "tensor/torch.h"

namespace attnlab {

// h_t = exp(Δ_t A) h_{t-1} + Δ_t x_t B_t,  y_t = Σ_s C_ts h_ts, over each of `parts` parts of a sequence that
// lie one behind the other, apart from each other.
struct ScanParts {
  int64_t parts = 1;
  torch::Tensor x_BNTP, step_BNTP;  // T: parts · tokens of one
  torch::Tensor A_NPS, B_BNTS, C_BNTS;
  torch::Tensor begins_BT;    // bool, a document begins: nothing of before is seen; undefined: none
  torch::Tensor first_BNpPS;  // h before each part; undefined: 0
  bool wants_y = true;
};
struct ScannedParts {
  torch::Tensor y_BNTP, last_BNpPS;  // y: undefined where it is not wanted
};
// Whether scan_parts takes these: a GPU with kernels of our own, float32, S ≤ 256.
bool fits_scan(const torch::Tensor& x_BNTP, const torch::Tensor& A_NPS);
// Differentiable once, in all but begins.
ScannedParts scan_parts(const ScanParts& scan);

}  // namespace attnlab
