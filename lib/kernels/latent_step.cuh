// One token more of each sequence in MLA's absorbed form (kernels/latent_step.h): the first block of a sequence
// makes the token that the cache keeps, the others turn its queries.
#pragma once

#include "kernels/latent_step_layout.h"
#include "kernels/vectors.cuh"

namespace attnlab::cuda::token_step {

constexpr int kThreads = 256;

// Σ over the block's threads, in a fixed order. All of them must call, once.
__device__ inline float sum_of_block(float own) {
  __shared__ float of_warp[kThreads / 32];
  for (int step = 16; step > 0; step /= 2) own += __shfl_xor_sync(~0u, own, step);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = own;
  __syncthreads();
  float sum = 0;
  for (const float part : of_warp) sum += part;
  return sum;
}

// The j-th pair of a head of `half` pairs, which leave as halves.
template <class T, class Table>
__device__ inline void turn(const LatentStepLayout& l, const T* from, const Table* cos, const Table* sin, T* to,
                            int j) {
  const int half = l.rope / 2, first = l.in_pairs ? 2 * j : j, second = l.in_pairs ? first + 1 : first + half;
  const float x1 = load(from[first]), x2 = load(from[second]), c = load(cos[j]), s = load(sin[j]);
  to[j] = round_to<T>(x1 * c - x2 * s);
  to[half + j] = round_to<T>(x2 * c + x1 * s);
}

template <class T, class Table>
__device__ inline void make_token(const LatentStepLayout& l, const T* kv, const T* weight, const Table* cos,
                                  const Table* sin, T* out) {
  const int thread = static_cast<int>(threadIdx.x);
  if (weight) {
    float squares = 0;
    for (int i = thread; i < l.rank; i += kThreads) squares += load(kv[i]) * load(kv[i]);
    const float root = 1 / sqrtf(sum_of_block(squares) / static_cast<float>(l.rank) + l.eps);
    for (int i = thread; i < l.rank; i += kThreads)
      out[i] = round_to<T>(load(weight[i]) * (load(kv[i]) * root));
  } else {
    for (int i = thread; i < l.rank; i += kThreads) out[i] = kv[i];
  }
  for (int j = thread; j < l.rope / 2; j += kThreads) turn(l, kv + l.rank, cos, sin, out + l.rank, j);
}

// B · (1 + blocks_for_queries(l)) blocks.
template <class T, class Table>
__global__ void forward(LatentStepLayout l, const T* q, const T* kv, const T* weight, const Table* cos_table,
                        const Table* sin_table, T* q_out, T* out) {
  const int64_t of_row = 1 + blocks_for_queries(l, kThreads);
  const int64_t b = blockIdx.x / of_row, part = blockIdx.x % of_row;
  const Table *cos = cos_table + b * l.table_b, *sin = sin_table + b * l.table_b;
  if (part == 0) {
    const int64_t row = l.out_rows ? l.out_rows[b] : b;
    make_token(l, kv + b * l.kv_b, weight, cos, sin, out + row * l.out_b);
    return;
  }
  const int64_t half = l.rope / 2, index = (part - 1) * kThreads + threadIdx.x, n = index / half;
  if (n >= l.heads) return;
  turn(l, q + b * l.q_b + n * l.q_n, cos, sin, q_out + b * l.q_out_b + n * l.q_out_n,
       static_cast<int>(index % half));
}

}  // namespace attnlab::cuda::token_step
