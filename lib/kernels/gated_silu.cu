#include <type_traits>

#include "kernels/cuda_kernels.h"
#include "kernels/vectors.cuh"

namespace attnlab::cuda {
namespace {

constexpr int kThreads = 256;

__device__ inline float sigmoid(float x) { return 1 / (1 + __expf(-x)); }

template <class T, int n>
__global__ void forward(const T* gate, const T* up, T* out, int64_t packs) {
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * n;
  if (at >= packs * n) return;
  float g[n], u[n];
  read(gate + at, g);
  read(up + at, u);
#pragma unroll
  for (int i = 0; i < n; ++i) u[i] *= g[i] * sigmoid(g[i]);
  write(out + at, u);
}

// silu'(g) = σ(g) (1 + g (1 - σ(g)))
template <class T, int n>
__global__ void backward(const T* gate, const T* up, const T* dout, T* dgate, T* dup, int64_t packs) {
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * n;
  if (at >= packs * n) return;
  float g[n], u[n], d[n];
  read(gate + at, g);
  read(up + at, u);
  read(dout + at, d);
#pragma unroll
  for (int i = 0; i < n; ++i) {
    const float s = sigmoid(g[i]), silu = g[i] * s;
    g[i] = d[i] * u[i] * s * (1 + g[i] * (1 - s));
    u[i] = d[i] * silu;
  }
  write(dgate + at, g);
  write(dup + at, u);
}

template <class T>
struct Width {
  static constexpr int value = 16 / sizeof(T);
};

// launch(type, numbers at a time): whole packs of 16 bytes, or single numbers where the count is no multiple.
template <class Launch>
void by_width(Format format, int64_t count, const Launch& launch) {
  with_type(format, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    constexpr int n = Width<T>::value;
    if (count % n == 0)
      launch(type, std::integral_constant<int, n>{}, count / n);
    else
      launch(type, std::integral_constant<int, 1>{}, count);
  });
}

unsigned blocks_for(int64_t packs) { return static_cast<unsigned>((packs + kThreads - 1) / kThreads); }

}  // namespace

cudaError_t gated_silu(Format format, const void* gate, const void* up, void* out, int64_t count,
                       cudaStream_t stream) {
  if (count == 0) return cudaSuccess;
  by_width(format, count, [&](auto* type, auto n, int64_t packs) {
    using T = std::remove_pointer_t<decltype(type)>;
    forward<T, n><<<blocks_for(packs), kThreads, 0, stream>>>(
        static_cast<const T*>(gate), static_cast<const T*>(up), static_cast<T*>(out), packs);
  });
  return cudaGetLastError();
}

cudaError_t gated_silu_backward(Format format, const void* gate, const void* up, const void* dout, void* dgate,
                                void* dup, int64_t count, cudaStream_t stream) {
  if (count == 0) return cudaSuccess;
  by_width(format, count, [&](auto* type, auto n, int64_t packs) {
    using T = std::remove_pointer_t<decltype(type)>;
    backward<T, n><<<blocks_for(packs), kThreads, 0, stream>>>(
        static_cast<const T*>(gate), static_cast<const T*>(up), static_cast<const T*>(dout),
        static_cast<T*>(dgate), static_cast<T*>(dup), packs);
  });
  return cudaGetLastError();
}

}  // namespace attnlab::cuda
