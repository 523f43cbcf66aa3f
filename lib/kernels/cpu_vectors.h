// Loops in a CPU's vector instructions, compiled once for each set of them (vectors/). They know nothing of
// torch. Results depend on the width of the vectors, not on threads.
#pragma once

#include <stdint.h>

namespace attnlab::vectors {

// Rows of numbers side by side, `step` apart.
struct InRows {
  const float* at;
  int64_t step;
};
struct OutRows {
  float* at;
  int64_t step;
};

// One head: T queries, of which each sees the keys up to its own. Rows of H numbers, H % 32 = 0.
struct Head {
  InRows q, k, v;
  int64_t T, H;
  float scale;
};
struct HeadGradients {
  InRows out, dout;
  const float* lse_T;
  OutRows dq;
  // dk_TH and dv_TH are written, `padded_length(T)` rows of H numbers.
  float *dk, *dv;
};

// Keys and values of a KV head, turned round so that products go along tokens.
constexpr int64_t padded_length(int64_t T) { return (T + 31) / 32 * 32; }
constexpr int64_t turned_step(int64_t T) { return padded_length(T) + 16; }
constexpr int64_t turned_size(int64_t T, int64_t H) { return H * turned_step(T); }
// Numbers of room for `attend` and `attend_backward`.
constexpr int64_t kQueryTile = 8, kQueryBlock = 64;
constexpr int64_t forward_room(int64_t T) { return kQueryTile * turned_step(T); }
constexpr int64_t backward_room(int64_t T) { return 2 * kQueryBlock * turned_step(T); }

struct Loops {
  // x [T, H] → [H, turned_step(T)], zeros behind the last token.
  void (*turn_round)(InRows x, int64_t T, int64_t H, float* to);
  // out = softmax(scale q kᵀ) v; lse_T: the logarithm of each row's sum of exponentials.
  void (*attend)(const Head& head, const float* turned_k, float* room, OutRows out, float* lse_T);
  void (*attend_backward)(const Head& head, const float* turned_k, const float* turned_v, float* room,
                          const HeadGradients& gradients);
  // out = silu(gate) up of n numbers, and the gradients.
  void (*gated_silu)(const float* gate, const float* up, int64_t n, float* out);
  void (*gated_silu_backward)(const float* gate, const float* up, const float* dout, int64_t n, float* dgate,
                              float* dup);
  // -log softmax(logits)[target] of n logits. They become their gradient, or without `gradient` anything.
  float (*cross_entropy)(float* logits, int64_t n, int64_t target, bool gradient);
};

// Those that fit the vectors which torch's own kernels are taken for; null where there are none, and with
// ATEN_CPU_CAPABILITY=default.
const Loops* loops();

namespace avx2 {
Loops loops();
}
namespace avx512 {
Loops loops();
}

}  // namespace attnlab::vectors
