// MLA's queries and keys from their projections, and the gradients of these (kernels/latent_heads.h). A thread
// takes two packs of 16 bytes of a head.
#pragma once

#include "kernels/latent_heads_layout.h"
#include "kernels/rotary_pairs.cuh"

namespace attnlab::cuda::latent_heads {

constexpr int kThreads = 256;

template <class T, class Table>
struct Pointers {
  T *q, *kv, *k_rope, *q_heads, *k_heads, *v_heads;
  const Table *cos, *sin;
};
template <class T, class Table>
Pointers<T, Table> typed(const LatentHeadsPointers& at) {
  return {static_cast<T*>(at.q),
          static_cast<T*>(at.kv),
          static_cast<T*>(at.k_rope),
          static_cast<T*>(at.q_heads),
          static_cast<T*>(at.k_heads),
          static_cast<T*>(at.v_heads),
          static_cast<const Table*>(at.cos),
          static_cast<const Table*>(at.sin)};
}

struct Token {
  int64_t b, t;
};
__device__ inline Token token_of(const LatentHeadsLayout& z, unsigned token) {
  const auto T = static_cast<unsigned>(z.T);
  return {token / T, token % T};
}

template <class T>
__device__ inline T* place(T* at, const HeadsView& view, const Token& token, int head) {
  return at + token.b * view.b + token.t * view.t + head * view.n;
}

// The unit-th pack of `width` numbers, and that of their second half: threads write side by side.
template <int n, class T>
__device__ inline void copy(const T* from, T* to, int unit, int width) {
  const int first = unit * n, second = (unit + copies_of(width, n)) * n;
  const bool two = second < width;
  const auto one = *reinterpret_cast<const Pack<T, n>*>(from + first);
  const auto other = *reinterpret_cast<const Pack<T, n>*>(from + (two ? second : first));
  *reinterpret_cast<Pack<T, n>*>(to + first) = one;
  if (two) *reinterpret_cast<Pack<T, n>*>(to + second) = other;
}

// The unit-th n pairs, from one layout to the other.
template <int n, class T, class Table>
__device__ inline void turn(const LatentHeadsLayout& z, const Pointers<T, Table>& at, const Token& token,
                            bool backwards, const T* from, T* to, int unit) {
  const int64_t j = unit * n, table = token.b * z.table_b + token.t * z.table_t + j;
  float x1[n], x2[n];
  read_pairs(from, z.in_pairs && !backwards, z.rope / 2, j, x1, x2);
  turn_pairs(at.cos + table, at.sin + table, backwards, x1, x2);
  write_pairs(to, z.in_pairs && backwards, z.rope / 2, j, x1, x2);
}

// A thread of B · T · forward_threads.
template <class T, class Table, int n>
__global__ void __launch_bounds__(kThreads) forward(LatentHeadsLayout z, Pointers<T, Table> at) {
  const unsigned index = blockIdx.x * kThreads + threadIdx.x;
  const int copies = copies_of(z.nope, n), of_head = copies + turns_of(z, n);
  const auto of_token = static_cast<unsigned>(2 * z.N * of_head);
  if (index >= z.B * z.T * of_token) return;
  const Token token = token_of(z, index / of_token);
  const int rest = static_cast<int>(index % of_token), unit = rest % of_head;
  const bool is_key = rest / of_head >= z.N;
  const int head = rest / of_head - (is_key ? z.N : 0);
  const T* from = is_key ? place(at.kv, z.kv, token, head) : place(at.q, z.q, token, head);
  T* to = is_key ? place(at.k_heads, z.k_heads, token, head) : place(at.q_heads, z.q_heads, token, head);
  if (unit < copies) return copy<n>(from, to, unit, z.nope);
  const T* rope = is_key ? place(at.k_rope, z.k_rope, token, 0) : from + z.nope;
  turn<n>(z, at, token, false, rope, to + z.nope, unit - copies);
}

// Over the heads in their order, in float32, rounded once.
template <class T, class Table, int n>
__device__ inline void sum_shared(const LatentHeadsLayout& z, const Pointers<T, Table>& at, unsigned index) {
  const auto turns = static_cast<unsigned>(turns_of(z, n));
  const Token token = token_of(z, index / turns);
  const int64_t j = index % turns * n, half = z.rope / 2, table = token.b * z.table_b + token.t * z.table_t + j;
  const T* from = place(at.k_heads, z.k_heads, token, 0) + z.nope;
  float sum1[n] = {}, sum2[n] = {};
  constexpr int at_once = 2;  // heads that are waited for
  for (int first = 0; first < z.N; first += at_once) {
    Pack<T, n> x1[at_once], x2[at_once];
#pragma unroll
    for (int k = 0; k < at_once; ++k) {
      const T* x = from + (first + k < z.N ? first + k : z.N - 1) * z.k_heads.n + j;
      x1[k] = *reinterpret_cast<const Pack<T, n>*>(x);
      x2[k] = *reinterpret_cast<const Pack<T, n>*>(x + half);
    }
#pragma unroll
    for (int k = 0; k < at_once; ++k) {
      const bool counts = first + k < z.N;
#pragma unroll
      for (int i = 0; i < n; ++i) {
        sum1[i] += counts ? load(x1[k].values[i]) : 0.0f;
        sum2[i] += counts ? load(x2[k].values[i]) : 0.0f;
      }
    }
  }
  turn_pairs(at.cos + table, at.sin + table, true, sum1, sum2);
  write_pairs(place(at.k_rope, z.k_rope, token, 0), z.in_pairs, half, j, sum1, sum2);
}

// A thread of B · T · turns_of, which sums over heads and takes longest, or behind them of B · T ·
// backward_threads.
template <class T, class Table, int n>
__global__ void __launch_bounds__(kThreads) backward(LatentHeadsLayout z, Pointers<T, Table> at) {
  const int turns = turns_of(z, n), copies = copies_of(z.nope, n), of_value = copies_of(z.value, n);
  const auto sums = static_cast<unsigned>(z.B * z.T * turns);
  unsigned index = blockIdx.x * kThreads + threadIdx.x;
  if (index < sums) return sum_shared<T, Table, n>(z, at, index);
  index -= sums;
  const auto of_token = static_cast<unsigned>(z.N * (2 * copies + turns + of_value));
  if (index >= z.B * z.T * of_token) return;
  const Token token = token_of(z, index / of_token);
  const int of_query = copies + turns, rest = static_cast<int>(index % of_token);
  if (rest < z.N * of_query) {
    const int head = rest / of_query, unit = rest % of_query;
    const T* from = place(at.q_heads, z.q_heads, token, head);
    T* to = place(at.q, z.q, token, head);
    if (unit < copies) return copy<n>(from, to, unit, z.nope);
    return turn<n>(z, at, token, true, from + z.nope, to + z.nope, unit - copies);
  }
  const int of_product = copies + of_value, head = (rest - z.N * of_query) / of_product,
            unit = (rest - z.N * of_query) % of_product;
  T* to = place(at.kv, z.kv, token, head);
  if (unit < copies) return copy<n>(place(at.k_heads, z.k_heads, token, head), to, unit, z.nope);
  copy<n>(place(at.v_heads, z.v_heads, token, head), to + z.nope, unit - copies, z.value);
}

}  // namespace attnlab::cuda::latent_heads
