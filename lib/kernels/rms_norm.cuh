// The RMS norm of few rows, as a decoding step has them: nothing but one row's latency counts. A block takes a
// row and asks for all that it reads at once; what it sums stays in registers.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/rms_norm_layout.h"
#include "kernels/vectors.cuh"

namespace attnlab::cuda::norm {

constexpr int kFewRows = 256;  // about two blocks for each multiprocessor
constexpr int kMostThreads = 512;
constexpr int kPacks = 4;  // of a thread, at most

template <class T>
constexpr int pack_of() {
  return 16 / sizeof(T);
}

// Threads for a row that is read by n numbers.
inline unsigned threads_of_few(int64_t width, int n) {
  const int64_t packs = (width + n - 1) / n, threads = (packs + 31) / 32 * 32;
  return static_cast<unsigned>(threads < kMostThreads ? threads : kMostThreads);
}

// action(numbers of a pack, packs of a thread) as constants.
template <class T, class Action>
void with_packs(int64_t width, const Action& action) {
  const auto with_numbers = [&](auto n) {
    if (width <= int64_t{kMostThreads} * n)
      action(n, std::integral_constant<int, 1>{});
    else
      action(n, std::integral_constant<int, kPacks>{});
  };
  if (width % pack_of<T>() == 0)
    with_numbers(std::integral_constant<int, pack_of<T>()>{});
  else
    with_numbers(std::integral_constant<int, 1>{});
}

// Σ over the block's threads, in a fixed order; each of them gets it.
__device__ inline float sum_over_block(float own) {
  constexpr int most = kMostThreads / 32;
  __shared__ float of_warp[most];
  const int warps = static_cast<int>(blockDim.x) / 32, warp = static_cast<int>(threadIdx.x) / 32;
#pragma unroll
  for (int step = 16; step > 0; step /= 2) own += __shfl_xor_sync(~0u, own, step);
  if (threadIdx.x % 32 == 0) of_warp[warp] = own;
  __syncthreads();
  float sum = 0;
#pragma unroll
  for (int w = 0; w < most; ++w) sum += w < warps ? of_warp[w] : 0;
  return sum;
}

template <class T, class A, int n, int packs>
__global__ void __launch_bounds__(kMostThreads)
    forward_few(NormRows rows, const T* x, const A* added, const T* weight, T* stream, T* normed, float* r) {
  const int width = static_cast<int>(rows.width), first = static_cast<int>(threadIdx.x) * n,
            step = static_cast<int>(blockDim.x) * n;
  const int64_t begin = blockIdx.x * rows.width;
  float v[packs][n], a[packs][n], w[packs][n], squares = 0;
#pragma unroll
  for (int k = 0; k < packs; ++k) {
    const int at = first + k * step;
    if (at < width) read(x + begin + at, v[k]);
    if (at < width && added) read(added + begin + at, a[k]);
    if (at < width) read(weight + at, w[k]);
  }
#pragma unroll
  for (int k = 0; k < packs; ++k) {
    const int at = first + k * step;
    if (at >= width) continue;
    if (added) {
#pragma unroll
      for (int i = 0; i < n; ++i) v[k][i] = load(round_to<T>(v[k][i] + a[k][i]));
      write(stream + begin + at, v[k]);
    }
#pragma unroll
    for (int i = 0; i < n; ++i) squares += v[k][i] * v[k][i];
  }
  const float root = rsqrtf(sum_over_block(squares) / static_cast<float>(width) + rows.eps);
  if (r && threadIdx.x == 0) r[blockIdx.x] = root;
#pragma unroll
  for (int k = 0; k < packs; ++k) {
    const int at = first + k * step;
    if (at >= width) continue;
#pragma unroll
    for (int i = 0; i < n; ++i) w[k][i] *= v[k][i] * root;
    write(normed + begin + at, w[k]);
  }
}

}  // namespace attnlab::cuda::norm
