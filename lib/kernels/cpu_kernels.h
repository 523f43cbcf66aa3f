// Loops over the CPU's cores in place of several operations of torch. Arithmetic is float32. They round where
// those operations would: no bit of a golden loss curve moved.
#pragma once

#include "tensor/torch.h"

namespace attnlab {

namespace cpu {

// float32 or bfloat16 on a CPU.
inline bool has_loops(const torch::Tensor& tensor) {
  return tensor.is_cpu() &&
         (tensor.scalar_type() == torch::kFloat32 || tensor.scalar_type() == torch::kBFloat16);
}

// Rotary position from x into out, [B, N, T, H] at any strides but the last, which is 1; see fused.h. Tables of
// float32 or, as x is, of bfloat16. in_pairs, out_pairs: neighbours, not halves; backwards: by the negative
// angle.
struct Turn {
  bool in_pairs = false, out_pairs = false, backwards = false;
};
void rotate(const torch::Tensor& x_BNTH, const torch::Tensor& cos_BTr, const torch::Tensor& sin_BTr, Turn turn,
            torch::Tensor& out_BNTH);

}  // namespace cpu
}  // namespace attnlab
