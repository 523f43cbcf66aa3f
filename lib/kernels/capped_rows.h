// What the kernels of capped scores are told (cuda_kernels.h). Without CUDA, so that their source can be
// compiled for CPUs, too.
#pragma once

#include <cstdint>

namespace attnlab::cuda {

// B · G · n · t rows of K scores each: t queries of each of n heads of G KV heads.
struct CappedRows {
  int64_t rows, K;
  int64_t G, n, t;
  float cap;
  // Which of a row's `last` last keys may not be looked at, [B, G, n, t, last] at these strides; null: none.
  const bool* hidden;
  int64_t last;
  int64_t stride_B, stride_G, stride_n, stride_t, stride_key;
};

}  // namespace attnlab::cuda
