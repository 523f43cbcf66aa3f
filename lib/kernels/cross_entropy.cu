#include <type_traits>

#include "kernels/cuda_kernels.h"
#include "kernels/vectors.cuh"

namespace attnlab::cuda {
namespace {

constexpr int kThreads = 1024;

// Σ exp(z - greatest) over some numbers, so that it never overflows (arXiv 1805.02867).
struct RunningSum {
  float greatest, sum;
};

__device__ inline RunningSum joined(RunningSum a, RunningSum b) {
  const float greatest = fmaxf(a.greatest, b.greatest);
  if (greatest == -INFINITY) return {greatest, 0};
  return {greatest, a.sum * __expf(a.greatest - greatest) + b.sum * __expf(b.greatest - greatest)};
}

// Over all threads of the block, in a fixed order; every thread gets the result.
__device__ inline RunningSum joined_over_block(RunningSum own) {
  __shared__ RunningSum of_warp[kThreads / 32];
  const auto over_warp = [](RunningSum part) {
    for (int step = 16; step > 0; step /= 2)
      part = joined(part, {__shfl_xor_sync(~0u, part.greatest, step), __shfl_xor_sync(~0u, part.sum, step)});
    return part;
  };
  own = over_warp(own);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = own;
  __syncthreads();
  return over_warp(of_warp[threadIdx.x % 32]);
}

template <class T, int n>
__global__ void row_loss(T* logits, const int64_t* targets, float* losses, int64_t classes, float softcap,
                         bool gradient) {
  T* row = logits + static_cast<int64_t>(blockIdx.x) * classes;
  const auto capped = [softcap](float z) { return softcap > 0 ? softcap * tanhf(z / softcap) : z; };
  const int64_t target = targets[blockIdx.x];
  const float target_logit = capped(load(row[target]));
  RunningSum part{-INFINITY, 0};
  for (int64_t at = static_cast<int64_t>(threadIdx.x) * n; at < classes; at += kThreads * n) {
    float z[n];
    read(row + at, z);
    float greatest = -INFINITY, sum = 0;
#pragma unroll
    for (int i = 0; i < n; ++i) greatest = fmaxf(greatest, z[i] = capped(z[i]));
#pragma unroll
    for (int i = 0; i < n; ++i) sum += __expf(z[i] - greatest);
    part = joined(part, {greatest, sum});
  }
  const RunningSum whole = joined_over_block(part);
  const float log_sum = whole.greatest + logf(whole.sum);
  if (threadIdx.x == 0) losses[blockIdx.x] = log_sum - target_logit;
  if (!gradient) return;
  for (int64_t at = static_cast<int64_t>(threadIdx.x) * n; at < classes; at += kThreads * n) {
    float z[n];
    read(row + at, z);
#pragma unroll
    for (int i = 0; i < n; ++i) {
      const float c = capped(z[i]);
      float d = __expf(c - log_sum) - (at + i == target ? 1.0f : 0.0f);
      if (softcap > 0) d *= 1 - (c / softcap) * (c / softcap);
      z[i] = d;
    }
    write(row + at, z);
  }
}

}  // namespace

cudaError_t cross_entropy(Format format, void* logits, const int64_t* targets, float* losses, int64_t rows,
                          int64_t classes, float softcap, bool gradient, cudaStream_t stream) {
  if (rows == 0) return cudaSuccess;
  with_type(format, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const auto launch = [&](auto n) {
      row_loss<T, n><<<static_cast<unsigned>(rows), kThreads, 0, stream>>>(static_cast<T*>(logits), targets,
                                                                           losses, classes, softcap, gradient);
    };
    constexpr int wide = 16 / sizeof(T);
    if (classes % wide == 0)
      launch(std::integral_constant<int, wide>{});
    else
      launch(std::integral_constant<int, 1>{});
  });
  return cudaGetLastError();
}

}  // namespace attnlab::cuda
