// What the kernels of latent_heads.h are told. Without CUDA, so that their source can be compiled for CPUs,
// too.
#pragma once

#include <cstdint>

#include "kernels/on_both.h"
#include "kernels/wkv_layout.h"

namespace attnlab::cuda {

// T tokens of each of B sequences, N heads. A head has nope + rope numbers as a query and as a key, nope +
// value of W_KVB's product. nope, value, half of rope and all strides are multiples of a pack.
struct LatentHeadsLayout {
  int64_t B, T;
  int N, nope, rope, value;
  int64_t table_b, table_t;  // strides of cos and sin, [B or 1, T or 1, rope]; 0 where 1
  bool in_pairs;             // neighbours turn, not halves; they leave as halves
  // As projected: queries, W_KVB's product, the keys' part with rotary position, which all heads share.
  HeadsView q, kv, k_rope;
  // As attended to.
  HeadsView q_heads, k_heads, v_heads;
};

// Forward: from the projected ones to queries and keys (values are not touched). Backward: gradients, from
// those of queries, keys and values to those of the projected ones. All start at multiples of 16 bytes, tables
// at those of 32.
struct LatentHeadsPointers {
  void *q, *kv, *k_rope, *q_heads, *k_heads, *v_heads;
  const void *cos, *sin;
};

// A thread copies up to two packs of n numbers, or turns n pairs.
ATTNLAB_ON_BOTH inline int copies_of(int width, int n) { return (width + 2 * n - 1) / (2 * n); }
ATTNLAB_ON_BOTH inline int turns_of(const LatentHeadsLayout& z, int n) { return z.rope / (2 * n); }
// Of a token: queries and keys.
ATTNLAB_ON_BOTH inline int64_t forward_threads(const LatentHeadsLayout& z, int n) {
  return int64_t{2} * z.N * (copies_of(z.nope, n) + turns_of(z, n));
}
// Of a token: queries, and the product's keys and values, beside turns_of for the sum over heads.
ATTNLAB_ON_BOTH inline int64_t backward_threads(const LatentHeadsLayout& z, int n) {
  return int64_t{z.N} * (2 * copies_of(z.nope, n) + turns_of(z, n) + copies_of(z.value, n));
}

}  // namespace attnlab::cuda
