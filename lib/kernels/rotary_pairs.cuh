// Pairs of a head's numbers that rotary position turns.
#pragma once

#include "kernels/vectors.cuh"

namespace attnlab::cuda {

// n of a head's `half` pairs, from the j-th on: (x_i, x_{i + half}), or neighbours (x_2i, x_2i+1). Accesses are
// of n numbers.
template <int n, class T>
__device__ inline void read_pairs(const T* head, bool neighbours, int64_t half, int64_t j, float (&x1)[n],
                                  float (&x2)[n]) {
  if (neighbours) {
    float both[2][n];
    read(head + 2 * j, both[0]);
    read(head + 2 * j + n, both[1]);
#pragma unroll
    for (int i = 0; i < n; ++i)
      x1[i] = both[2 * i / n][2 * i % n], x2[i] = both[(2 * i + 1) / n][(2 * i + 1) % n];
  } else {
    read(head + j, x1);
    read(head + half + j, x2);
  }
}

template <int n, class T>
__device__ inline void write_pairs(T* head, bool neighbours, int64_t half, int64_t j, const float (&x1)[n],
                                   const float (&x2)[n]) {
  if (neighbours) {
    float both[2][n];
#pragma unroll
    for (int i = 0; i < n; ++i)
      both[2 * i / n][2 * i % n] = x1[i], both[(2 * i + 1) / n][(2 * i + 1) % n] = x2[i];
    write(head + 2 * j, both[0]);
    write(head + 2 * j + n, both[1]);
  } else {
    write(head + j, x1);
    write(head + half + j, x2);
  }
}

// By the angles of n cosines and sines, or their negatives.
template <int n, class Table>
__device__ inline void turn_pairs(const Table* cos, const Table* sin, bool backwards, float (&x1)[n],
                                  float (&x2)[n]) {
  float c[n], s[n];
  read(cos, c);
  read(sin, s);
#pragma unroll
  for (int i = 0; i < n; ++i) {
    const float angle_sin = backwards ? -s[i] : s[i], first = x1[i];
    x1[i] = first * c[i] - x2[i] * angle_sin;
    x2[i] = x2[i] * c[i] + first * angle_sin;
  }
}

}  // namespace attnlab::cuda
