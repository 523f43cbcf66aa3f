// The recurrences of RWKV-4 (arXiv 2305.13048), RWKV-6 (arXiv 2404.05892) and RWKV-7 (arXiv 2503.14456).
//
// Shapes: B batch, N heads, T tokens, K numbers of a key, V of a value, C channels. float32 or float64; r, k
// and v of RWKV-6 and 7 may be bfloat16 beside float32. At padded places keys, values and log decays are 0 (for
// RWKV-7 a and b, too). On a GPU heads of 64 numbers in float32 take a kernel (kernels/wkv_scan.h).
#pragma once

#include <cstdint>

#include "attention/recurrence.h"
#include "tensor/torch.h"

namespace attnlab {

// Tokens of a chunk, unless a caller wants others.
inline constexpr int64_t kWkvChunk = 64;

struct WkvOut {
  torch::Tensor o_BNTV, state_BNKV;
};

// o_t = (S_{t-1} + (u ⊙ k_t) v_tᵀ)ᵀ r_t,  S_t = diag(e^{w_t}) S_{t-1} + k_t v_tᵀ, with w the log decay < 0 and
// S [K, V]. Chunks of L tokens, L rounded up to a power of 2: within one, decays are exponentials of
// differences w_cum,i - w_cum,j, never of -w_cum alone, taken apart where neither part is above 1.
struct Wkv6 {
  torch::Tensor r_BNTK, k_BNTK, v_BNTV, w_BNTK, u_NK;
  torch::Tensor ids_BT;      // Segments
  torch::Tensor state_BNKV;  // before the first token; undefined: 0
};
WkvOut wkv6(const Wkv6& wkv, int64_t L = kWkvChunk);

// S_t = S_{t-1} diag(e^{w_t}) + (S_{t-1} a_t) b_tᵀ + v_t k_tᵀ,  o_t = S_t r_t, with S [V, K], kept as its
// transpose [K, V]. In chunks, with u_t = S_{t-1} a_t the rows of U:
//   (I - tril(a bᵀ, -1)) U = a S_before + tril(a kᵀ, -1) V
// where products carry the decay between their tokens: one triangular system for all chunks, whose solution
// makes the state behind a chunk a linear map of the one before (carry_maps).
struct Wkv7 {
  torch::Tensor r_BNTK, w_BNTK, k_BNTK, v_BNTV, a_BNTK, b_BNTK;
  torch::Tensor ids_BT;
  torch::Tensor state_BNKV;
  // w ≥ -1 everywhere, as in RWKV-7's layer: decays between two tokens of a chunk, of 64 at most, are taken
  // apart at its middle, so that all of its pairs are one product.
  bool mild = false;
};
WkvOut wkv7(const Wkv7& wkv, int64_t L = kWkvChunk);

// wkv_t = (Σ_{i<t} e^{-(t-1-i) d + k_i} v_i + e^{u + k_t} v_t) / (the same without v), d = exp(time_decay), u =
// time_first, both [C]. The state is the two sums over e^p and p, a maximum that keeps all exponentials
// below 1.
struct Wkv4State {
  torch::Tensor sum_BC, weight_BC, largest_BC;
  static Wkv4State none(int64_t B, int64_t C, torch::TensorOptions options);
};
struct Wkv4Out {
  torch::Tensor o_BTC;
  Wkv4State state;
};
Wkv4Out wkv4(const torch::Tensor& time_decay_C, const torch::Tensor& time_first_C, const torch::Tensor& k_BTC,
             const torch::Tensor& v_BTC, Wkv4State state, const Segments& segments);

}  // namespace attnlab
