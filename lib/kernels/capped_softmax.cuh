// Rows of weights p = softmax(c · tanh(u)) of scores u over the keys that are not hidden, and what comes back
// through them: a warp a row, which is read twice.
#pragma once

#include "kernels/capped_rows.h"
#include "kernels/vectors.cuh"

namespace attnlab::cuda::capped {

constexpr int kThreads = 256, kWarp = 32;
constexpr unsigned kAll = 0xffffffffu;

// Of a row's keys so far: the greatest z = c · tanh(u), Σ exp(z - greatest), and that sum with each term times
// the gradient of its weight (arXiv 1805.02867).
struct Sums {
  float greatest, sum, dot;
};

__device__ inline Sums joined(Sums a, Sums b) {
  const float greatest = fmaxf(a.greatest, b.greatest);
  if (greatest == -INFINITY) return {greatest, 0, 0};
  const float of_a = expf(a.greatest - greatest), of_b = expf(b.greatest - greatest);
  return {greatest, a.sum * of_a + b.sum * of_b, a.dot * of_a + b.dot * of_b};
}

__device__ inline void add(Sums& to, float z, float dp) {
  if (z > to.greatest) {
    const float by = expf(to.greatest - z);
    to = {z, to.sum * by, to.dot * by};
  }
  const float e = expf(z - to.greatest);
  to.sum += e, to.dot += e * dp;
}

__device__ inline Sums joined_over_warp(Sums own) {
#pragma unroll
  for (int apart = kWarp / 2; apart > 0; apart /= 2)
    own = joined(own, {__shfl_xor_sync(kAll, own.greatest, apart), __shfl_xor_sync(kAll, own.sum, apart),
                       __shfl_xor_sync(kAll, own.dot, apart)});
  return own;
}

// Whether keys are hidden from the query of a row.
struct HiddenKeys {
  const bool* at;
  int64_t from, stride;

  __device__ HiddenKeys(const CappedRows& z, int64_t row)
      : at(z.hidden), from(z.K - z.last), stride(z.stride_key) {
    if (!at) return;
    const int64_t heads = row / z.t, groups = heads / z.n;
    at += row % z.t * z.stride_t + heads % z.n * z.stride_n + groups % z.G * z.stride_G +
          groups / z.G * z.stride_B;
  }
  __device__ bool operator[](int64_t key) const { return at && key >= from && at[(key - from) * stride]; }
};

// dweights: null without gradients. Otherwise dscores = p (dp - Σ p dp) (1 - tanh²(u)), the gradient of c · u.
template <class T>
__global__ void weights(CappedRows z, const float* scores, const float* dweights, T* out, T* dscores) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * (kThreads / kWarp) + threadIdx.x / kWarp;
  if (row >= z.rows) return;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const HiddenKeys hidden(z, row);
  const float* u = scores + row * z.K;
  const float* dp = dweights ? dweights + row * z.K : nullptr;
  Sums sums{-INFINITY, 0, 0};
  for (int64_t key = lane; key < z.K; key += kWarp)
    if (!hidden[key]) add(sums, z.cap * tanhf(u[key]), dp ? dp[key] : 0);
  sums = joined_over_warp(sums);
  const float over = 1 / sums.sum, mean = sums.dot * over;
  for (int64_t key = lane; key < z.K; key += kWarp) {
    const float tanh = tanhf(u[key]);
    const float p = hidden[key] ? 0 : expf(z.cap * tanh - sums.greatest) * over;
    out[row * z.K + key] = round_to<T>(p);
    if (dp) dscores[row * z.K + key] = round_to<T>(hidden[key] ? 0 : p * (dp[key] - mean) * (1 - tanh * tanh));
  }
}

}  // namespace attnlab::cuda::capped
