// What the kernel of latent_step.h is told. Without CUDA, so that its source can be compiled for CPUs, too.
#pragma once

#include <cstdint>

#include "kernels/on_both.h"

namespace attnlab::cuda {

// B sequences of `heads` queries, of which `rope` numbers each turn, and of a token of rank + rope numbers.
// Strides in numbers; numbers of a head and of a token lie side by side.
struct LatentStepLayout {
  int64_t B, heads;
  int rank, rope;
  int64_t q_b, q_n, kv_b, q_out_b, q_out_n, out_b;
  int64_t table_b;  // of cos and sin, [B or 1, rope]; 0 where 1
  float eps;
  bool in_pairs;            // neighbours turn, not halves
  const int64_t* out_rows;  // into which row of `out` each of the B goes; null: b into row b
};

ATTNLAB_ON_BOTH inline int64_t blocks_for_queries(const LatentStepLayout& l, int threads) {
  return (l.heads * (l.rope / 2) + threads - 1) / threads;
}

}  // namespace attnlab::cuda
