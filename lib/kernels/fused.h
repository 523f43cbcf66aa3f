// Operations of a training step that torch has in several kernels, each in one: on a GPU, where the build has
// CUDA, and rotary position, RMS norms and gated SiLU on a CPU, too. Elsewhere, and for formats other than
// float32 and bfloat16, they are made of torch's operations. Arithmetic is float32 in every format; on a GPU
// results are rounded once, on a CPU where torch's operations would round.
#pragma once

#include "tensor/torch.h"

namespace attnlab {

// Whether operations on this tensor run in kernels of our own.
bool has_kernels(const torch::Tensor& tensor);

// silu(gate) ∘ up (arXiv 2002.05202), differentiable once. Same shape and format.
torch::Tensor gated_silu(const torch::Tensor& gate, const torch::Tensor& up);
// The same of gate and up side by side: [.., 2·I] → [.., I]. The gradient is one tensor, too.
torch::Tensor gated_silu_of_halves(const torch::Tensor& gate_and_up);

// [softmax(y), softmax(-y)] over the last dimension, each number at least `least`: [.., 2·R] of y [.., R].
// Differentiable once. In a kernel: float32, R ≤ 256.
torch::Tensor paired_softmax(const torch::Tensor& y, double least);

// The residual stream x + added and its RMS norm, stream / √(mean(stream²) + eps) · weight over the last
// dimension (arXiv 1910.07467). `added` undefined: the stream is x, and what depends on it should take it from
// here, so that its gradients are summed in the norm's own backward pass. Differentiable once. `added` may be
// bfloat16 where x is float32. The gradient of the weight is summed in an order that depends on the device
// alone.
struct NormedStream {
  torch::Tensor stream, normed;
};
NormedStream add_and_norm(const torch::Tensor& x, const torch::Tensor& added, const torch::Tensor& weight,
                          double eps);

// In which order a head's numbers turn: (x_i, x_{i + r/2}), or neighbours (x_2i, x_2i+1), which leave as
// halves.
enum class RotaryPairs { halves, neighbours };

// Rotary position on the first r numbers of each head, the rest passes; differentiable once, in x. x [B, N, T,
// H] at any strides but the last, which is 1; tables [B or 1, T or 1, r] of float32 or x's format, both halves
// alike. neighbours: r = H. Only where fits_rotate_heads. On a GPU the result's dimensions lie in memory in x's
// order.
bool fits_rotate_heads(const torch::Tensor& x_BNTH, const torch::Tensor& cos_BTr);
torch::Tensor rotate_heads(const torch::Tensor& x_BNTH, const torch::Tensor& cos_BTr,
                           const torch::Tensor& sin_BTr, RotaryPairs pairs);

// The same for queries, which are returned, and keys, which are written to `k_out` (a place in a cache), at
// once: [B, G, T, H], or with `rows_B` (int64) [P, G, T, H], of which b's keys take the row rows_B[b]. In
// halves, without gradients. Only where has_kernels(q).
torch::Tensor rotate_queries_and_keys(const torch::Tensor& q_BNTH, const torch::Tensor& k_BGTH,
                                      torch::Tensor k_out_PGTH, const torch::Tensor& cos_BTr,
                                      const torch::Tensor& sin_BTr, const torch::Tensor& rows_B = {});

// Whether attend_single_query takes these: a GPU with kernels of our own, one format, no gradient asked for,
// widths that are multiples of 8 up to 256, numbers of a token side by side.
bool fits_single_query(const torch::Tensor& q_BGnH, const torch::Tensor& k_BGSH, const torch::Tensor& v_BGSW);
// softmax(cap(scale · q·k)) v of one query per head: n query heads to each of G KV heads, [B, G, n, W]. softcap
// 0: no cap. mask: undefined, or bool [B or 1, 1 or G, 1, S], true where the query may look. No plan is made
// for a length: cuDNN's takes some 50 ms for each new one (torch 2.11, H200).
torch::Tensor attend_single_query(const torch::Tensor& q_BGnH, const torch::Tensor& k_BGSH,
                                  const torch::Tensor& v_BGSW, const torch::Tensor& mask_BG1S, double scale,
                                  double softcap);

// Per row the loss -log softmax(cap(z))[target] of logits z [R, V], float32 [R]; with `gradient`, z becomes
// d loss / d z. softcap c > 0: cap(z) = c · tanh(z / c). Logits are contiguous, targets int64. Only where
// has_kernels(logits).
torch::Tensor cross_entropy_in_place(torch::Tensor& logits_RV, const torch::Tensor& targets_R, double softcap,
                                     bool gradient);

}  // namespace attnlab
