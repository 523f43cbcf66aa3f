// RWKV-6's and RWKV-7's recurrences as kernels, on a GPU where the build has CUDA.
#pragma once

#include <cstdint>

#include "tensor/torch.h"

namespace attnlab {

// A sequence's T tokens in `parts` of `length` (the last has what is left), apart from each other, for heads of
// 64 numbers. RWKV-7, where a is defined:
//   S_t = diag(e^{w_t}) S_{t-1} + b_t (S_{t-1}ᵀ a_t)ᵀ + k_t v_tᵀ,  o_t = S_tᵀ r_t
// and RWKV-6 else, with u the bonus:
//   S_t = diag(e^{w_t}) S_{t-1} + k_t v_tᵀ,  o_t = (S_{t-1} + (u ⊙ k_t) v_tᵀ)ᵀ r_t
// w, a, b float32, r, k, v that or bfloat16; any strides. r, k, v: undefined: 0.
struct WkvScan {
  int64_t parts = 1, length = 0;
  torch::Tensor r_BNTK, w_BNTK, k_BNTK, v_BNTV, a_BNTK, b_BNTK, bonus_NK;
  torch::Tensor begins_BT;    // bool, a document begins: nothing of before is seen; undefined: none
  torch::Tensor first_BNpKV;  // states before the parts; undefined: 0
  bool wants_o = true;
};
struct WkvScanned {
  torch::Tensor o_BNTV, last_BNpKV;  // float32; o: undefined where it is not wanted
};
// Whether wkv_scan takes these: a GPU with kernels of our own, these formats, heads of 64 numbers.
bool fits_wkv_scan(const WkvScan& scan);
// Differentiable once, in all but begins.
WkvScanned wkv_scan(const WkvScan& scan);

}  // namespace attnlab
