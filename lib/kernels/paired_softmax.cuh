// [softmax(y), softmax(-y)] of rows of `width` numbers, each at least `least`, and its gradient: a warp a row.
#pragma once

#include <cstdint>

namespace attnlab::cuda::paired {

constexpr int kThreads = 256, kWarp = 32;
constexpr unsigned kAll = 0xffffffffu;

__device__ inline int64_t row_of_warp() {
  return static_cast<int64_t>(blockIdx.x) * (kThreads / kWarp) + threadIdx.x / kWarp;
}

template <class Join>
__device__ inline float over_warp(float x, const Join& join) {
#pragma unroll
  for (int apart = kWarp / 2; apart > 0; apart /= 2) x = join(x, __shfl_xor_sync(kAll, x, apart));
  return x;
}

__device__ inline float sum_of_warp(float x) {
  return over_warp(x, [](float a, float b) { return a + b; });
}

// n: numbers of a thread.
template <int n>
__global__ void forward(const float* y, float* out, int64_t rows, int width, float least) {
  const int64_t row = row_of_warp();
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (row >= rows) return;
  float x[n], greatest = -INFINITY, smallest = INFINITY;
#pragma unroll
  for (int i = 0; i < n; ++i) {
    const int at = lane + i * kWarp;
    x[i] = at < width ? y[row * width + at] : 0;
    if (at < width) greatest = fmaxf(greatest, x[i]), smallest = fminf(smallest, x[i]);
  }
  greatest = over_warp(greatest, [](float a, float b) { return fmaxf(a, b); });
  smallest = over_warp(smallest, [](float a, float b) { return fminf(a, b); });
  float up[n], down[n], up_sum = 0, down_sum = 0;
#pragma unroll
  for (int i = 0; i < n; ++i) {
    const bool counts = lane + i * kWarp < width;
    up[i] = counts ? expf(x[i] - greatest) : 0;
    down[i] = counts ? expf(smallest - x[i]) : 0;
    up_sum += up[i], down_sum += down[i];
  }
  up_sum = sum_of_warp(up_sum), down_sum = sum_of_warp(down_sum);
#pragma unroll
  for (int i = 0; i < n; ++i) {
    const int at = lane + i * kWarp;
    if (at >= width) continue;
    out[row * 2 * width + at] = fmaxf(up[i] / up_sum, least);
    out[row * 2 * width + width + at] = fmaxf(down[i] / down_sum, least);
  }
}

// p (g - Σ p g) of either softmax, g 0 where p was raised to `least`, which stands for it.
template <int n>
__global__ void backward(const float* out, const float* dout, float* dy, int64_t rows, int width, float least) {
  const int64_t row = row_of_warp();
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (row >= rows) return;
  float p[2][n], g[2][n];
  float sums[2] = {};
#pragma unroll
  for (int side = 0; side < 2; ++side)
#pragma unroll
    for (int i = 0; i < n; ++i) {
      const int at = lane + i * kWarp;
      const int64_t place = (row * 2 + side) * width + at;
      p[side][i] = at < width ? out[place] : 0;
      g[side][i] = at < width && p[side][i] > least ? dout[place] : 0;
      sums[side] += p[side][i] * g[side][i];
    }
  const float up = sum_of_warp(sums[0]), down = sum_of_warp(sums[1]);
#pragma unroll
  for (int i = 0; i < n; ++i) {
    const int at = lane + i * kWarp;
    if (at < width) dy[row * width + at] = p[0][i] * (g[0][i] - up) - p[1][i] * (g[1][i] - down);
  }
}

}  // namespace attnlab::cuda::paired
