#include <type_traits>

#include "kernels/cuda_kernels.h"
#include "kernels/vectors.cuh"

namespace attnlab::cuda {
namespace {

constexpr int kThreads = 256;

__device__ inline float sigmoid(float x) { return 1 / (1 + __expf(-x)); }

// Where a thread's n numbers are: blocks_of_row blocks to a row.
struct Place {
  int64_t row, column;
};
template <int n>
__device__ inline Place place_of_thread(unsigned blocks_of_row) {
  return {blockIdx.x / blocks_of_row,
          (static_cast<int64_t>(blockIdx.x % blocks_of_row) * kThreads + threadIdx.x) * n};
}

template <class T, int n>
__global__ void forward(GatedRows rows, unsigned blocks_of_row, const T* gate, const T* up, T* out) {
  const auto [row, at] = place_of_thread<n>(blocks_of_row);
  if (at >= rows.width) return;
  float g[n], u[n];
  read(gate + row * rows.inputs + at, g);
  read(up + row * rows.inputs + at, u);
#pragma unroll
  for (int i = 0; i < n; ++i) u[i] *= g[i] * sigmoid(g[i]);
  write(out + row * rows.width + at, u);
}

// silu'(g) = σ(g) (1 + g (1 - σ(g)))
template <class T, int n>
__global__ void backward(GatedRows rows, unsigned blocks_of_row, const T* gate, const T* up, const T* dout,
                         T* dgate, T* dup) {
  const auto [row, at] = place_of_thread<n>(blocks_of_row);
  if (at >= rows.width) return;
  const int64_t in = row * rows.inputs + at;
  float g[n], u[n], d[n];
  read(gate + in, g);
  read(up + in, u);
  read(dout + row * rows.width + at, d);
#pragma unroll
  for (int i = 0; i < n; ++i) {
    const float s = sigmoid(g[i]), silu = g[i] * s;
    g[i] = d[i] * u[i] * s * (1 + g[i] * (1 - s));
    u[i] = d[i] * silu;
  }
  write(dgate + in, g);
  write(dup + in, u);
}

template <class T>
struct Width {
  static constexpr int value = 16 / sizeof(T);
};

bool at_packs(std::initializer_list<const void*> pointers) {
  for (const void* pointer : pointers)
    if (reinterpret_cast<uintptr_t>(pointer) % 16 != 0) return false;
  return true;
}

// launch(type, numbers at a time, blocks, blocks of a row): whole packs of 16 bytes, or single numbers where
// rows don't consist of them.
template <class Launch>
void by_width(Format format, const GatedRows& rows, bool aligned, const Launch& launch) {
  with_type(format, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const auto with = [&](auto n) {
      const int64_t packs = rows.width / n, blocks = (packs + kThreads - 1) / kThreads;
      launch(type, n, static_cast<unsigned>(rows.rows * blocks), static_cast<unsigned>(blocks));
    };
    constexpr int n = Width<T>::value;
    if (aligned && rows.width % n == 0 && rows.inputs % n == 0)
      with(std::integral_constant<int, n>{});
    else
      with(std::integral_constant<int, 1>{});
  });
}

}  // namespace

cudaError_t gated_silu(Format format, const GatedRows& rows, const void* gate, const void* up, void* out,
                       cudaStream_t stream) {
  if (rows.rows * rows.width == 0) return cudaSuccess;
  by_width(format, rows, at_packs({gate, up, out}), [&](auto* type, auto n, unsigned blocks, unsigned of_row) {
    using T = std::remove_pointer_t<decltype(type)>;
    forward<T, n><<<blocks, kThreads, 0, stream>>>(rows, of_row, static_cast<const T*>(gate),
                                                   static_cast<const T*>(up), static_cast<T*>(out));
  });
  return cudaGetLastError();
}

cudaError_t gated_silu_backward(Format format, const GatedRows& rows, const void* gate, const void* up,
                                const void* dout, void* dgate, void* dup, cudaStream_t stream) {
  if (rows.rows * rows.width == 0) return cudaSuccess;
  by_width(format, rows, at_packs({gate, up, dout, dgate, dup}),
           [&](auto* type, auto n, unsigned blocks, unsigned of_row) {
             using T = std::remove_pointer_t<decltype(type)>;
             backward<T, n><<<blocks, kThreads, 0, stream>>>(
                 rows, of_row, static_cast<const T*>(gate), static_cast<const T*>(up),
                 static_cast<const T*>(dout), static_cast<T*>(dgate), static_cast<T*>(dup));
           });
  return cudaGetLastError();
}

}  // namespace attnlab::cuda
