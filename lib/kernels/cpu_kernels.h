// Loops over the CPU's cores in place of several operations of torch. Arithmetic is float32. They round where
// those operations would, and add in the order that torch's plainest kernels have for narrow rows: no bit of a
// golden loss curve moved. Neither the CPU nor the number of threads changes the order.
#pragma once

#include "tensor/torch.h"

namespace attnlab {

struct NormOutputs {
  torch::Tensor stream, normed, r_R;
};
// Undefined where not wanted.
struct NormGradients {
  torch::Tensor dx, dweight;
};

namespace cpu {

// float32 or bfloat16 on a CPU.
inline bool has_loops(const torch::Tensor& tensor) {
  return tensor.is_cpu() &&
         (tensor.scalar_type() == torch::kFloat32 || tensor.scalar_type() == torch::kBFloat16);
}

// stream = x + added and normed = stream · r · weight with r = 1 / √(mean(stream²) + eps), over the last
// dimension, all contiguous. `added` and `stream` undefined: x alone. added may be bfloat16 where x is float32;
// all else has x's format, r_R is float32.
void rms_norm(const torch::Tensor& x, const torch::Tensor& added, const torch::Tensor& weight, double eps,
              NormOutputs& out);
// dx = dstream + the gradient through normed. dstream: undefined where nothing else depends on the stream.
void rms_norm_backward(const torch::Tensor& dnormed, const torch::Tensor& dstream, const torch::Tensor& stream,
                       const torch::Tensor& weight, const torch::Tensor& r_R, NormGradients& out);

// Rotary position from x into out, [B, N, T, H] at any strides but the last, which is 1; see fused.h. Tables of
// float32 or, as x is, of bfloat16. in_pairs, out_pairs: neighbours, not halves; backwards: by the negative
// angle.
struct Turn {
  bool in_pairs = false, out_pairs = false, backwards = false;
};
void rotate(const torch::Tensor& x_BNTH, const torch::Tensor& cos_BTr, const torch::Tensor& sin_BTr, Turn turn,
            torch::Tensor& out_BNTH);

// silu(gate) ∘ up: in vectors where cpu_vectors.h has loops for the CPU and these are float32, otherwise
// torch's operations. Differentiable; in vectors once.
torch::Tensor gated_silu(const torch::Tensor& gate, const torch::Tensor& up);

// Per row the loss -log softmax(z)[target] of logits z [R, V]; with `gradient`, z becomes d loss / d z,
// otherwise anything. Only where has_cross_entropy.
bool has_cross_entropy(const torch::Tensor& logits_RV);
torch::Tensor cross_entropy_in_place(torch::Tensor& logits_RV, const torch::Tensor& targets_R, bool gradient);

}  // namespace cpu
}  // namespace attnlab
