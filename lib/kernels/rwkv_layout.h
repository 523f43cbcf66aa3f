// What the kernels beside RWKV's recurrences are told (cuda_kernels.h). Without CUDA, so that their source can
// be compiled for CPUs, too.
#pragma once

#include <cstdint>

namespace attnlab::cuda {

// RWKV's token shift for n mixes at once (1, 5 or 6): x_y = x + (x̄ - x) ⊙ (μ_y + m_y), with x, m and the
// results in one format and C a multiple of 4. x̄: the token before, 0 where a document begins and before the
// first.
constexpr int64_t kTokenMixRun = 32;  // tokens of a thread
inline int64_t token_mix_runs(int64_t T) { return (T + kTokenMixRun - 1) / kTokenMixRun; }
struct TokenMix {
  int64_t B, T, C, n;
  int64_t begins_b;  // stride of begins: T, or 0 for one row
};
struct TokenMixInputs {
  const void* x;       // [B, T, C]
  const float* mu;     // [n, C]
  const void* m;       // [n, B, T, C]; null: 0
  const bool* begins;  // [B or 1, T]; null: none
};

// What RWKV computes head by head (rwkv_heads.cuh has the equations), on rows of C channels, heads of 64;
// vectors [n, C] one behind the other. Pointers to void are to numbers of one format.
constexpr int64_t kHeadsRun = 16;  // rows of a thread
inline int64_t head_runs(int64_t rows) { return (rows + kHeadsRun - 1) / kHeadsRun; }
struct HeadRows {
  int64_t rows, C;
};
struct Wkv7Keys {
  const void *k, *w, *a;
  const float* vectors;  // w₀, a₀, k_k, k_a
};
struct Wkv7Prepared {
  float *w, *k, *a, *b;
};
struct Wkv7KeyGradients {
  void *k, *w, *a;
};
struct RwkvOutputs {
  const float *o, *k;
  const void *r, *v, *gate;  // r, k, v null: RWKV-6
  const float* vectors;      // the norm's weight and bias, with r also r_k
  float eps;
};
struct RwkvOutputGradients {
  float *o, *k;
  void *r, *v, *gate;
};

}  // namespace attnlab::cuda
