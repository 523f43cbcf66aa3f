// What the kernels of RWKV's recurrences are told (cuda_kernels.h). Without CUDA, so that their source can be
// compiled for CPUs, too.
#pragma once

#include <cstdint>

namespace attnlab::cuda {

enum class Format { float32, bfloat16 };

// [B, N, T] heads whose numbers lie side by side, at any strides (in numbers).
struct HeadsView {
  int64_t b, n, t;
};
struct HeadsIn {
  const void* at;  // null: zeros
  Format format;
  HeadsView strides;
};
struct HeadsOut {
  void* at;  // null: not wanted
  Format format;
  HeadsView strides;
};

// T tokens of each of B · N heads of 64 numbers, cut into `parts` of `length` tokens (the last has what is
// left), apart from each other.
constexpr int kWkvHead = 64;
struct WkvSizes {
  int64_t B, N, parts, T, length;
};
struct WkvInputs {
  HeadsIn r, w, k, v;  // w: log decays
  HeadsIn a, b;        // RWKV-7 alone
  const float* bonus;  // RWKV-6 alone: u, [N, 64]
  const bool* begins;  // [B, T]: a document begins; null: none
  const float* first;  // states before the parts, [B, N, parts, 64 keys, 64 values]; null: 0
  bool delta;          // RWKV-7
};
// What the forward pass gave, and the gradients of its results (dlast: null where nothing depends on it).
struct WkvResults {
  HeadsIn u;
  const float* last;
  HeadsIn dout;
  const float* dlast;
};
// Of all inputs: a, b, du of RWKV-7, bonus [B, N, parts, 64] of RWKV-6. du and `read` are places for numbers
// between the kernels, float32 as the gradients of w, a and b are. first: may be null.
struct WkvGradients {
  HeadsOut r, w, k, v, a, b, du, read;
  float *bonus, *first;
};

}  // namespace attnlab::cuda
