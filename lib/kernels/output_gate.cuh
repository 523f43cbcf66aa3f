// y ⊙ silu(z) and its gradients, four numbers a thread. y and its gradient are float32, the others T.
#pragma once

#include <cmath>

#include "kernels/vectors.cuh"

namespace attnlab::cuda::gate {

constexpr int kThreads = 256, kPack = 4;

// Rows of `width` numbers; those of z are z_row numbers apart, all others side by side.
struct Rows {
  int64_t rows, width, z_row;
};

struct Place {
  int64_t at, in_z;
  bool active;

  __device__ explicit Place(const Rows& z) {
    const uint32_t packs = static_cast<uint32_t>(z.width / kPack), i = blockIdx.x * kThreads + threadIdx.x;
    const uint32_t row = i / packs;
    active = row < z.rows;
    at = static_cast<int64_t>(i) * kPack, in_z = row * z.z_row + static_cast<int64_t>(i % packs) * kPack;
  }
};

template <class T>
__global__ void __launch_bounds__(kThreads) forward(Rows rows, const float* y, const T* z, T* out) {
  const Place place(rows);
  if (!place.active) return;
  float of_y[kPack], of_z[kPack];
  read(y + place.at, of_y), read(z + place.in_z, of_z);
#pragma unroll
  for (int i = 0; i < kPack; ++i) of_y[i] *= of_z[i] / (1 + expf(-of_z[i]));
  write(out + place.at, of_y);
}

// silu'(z) = σ(z) (1 + z (1 - σ(z))). dz lies side by side.
template <class T>
__global__ void __launch_bounds__(kThreads)
    backward(Rows rows, const float* y, const T* z, const T* dout, float* dy, T* dz) {
  const Place place(rows);
  if (!place.active) return;
  float of_y[kPack], of_z[kPack], d[kPack];
  read(y + place.at, of_y), read(z + place.in_z, of_z), read(dout + place.at, d);
#pragma unroll
  for (int i = 0; i < kPack; ++i) {
    const float sigma = 1 / (1 + expf(-of_z[i]));
    const float of_gate = d[i] * of_y[i];
    of_y[i] = d[i] * of_z[i] * sigma;
    of_z[i] = of_gate * sigma * (1 + of_z[i] * (1 - sigma));
  }
  write(dy + place.at, of_y), write(dz + place.at, of_z);
}

}  // namespace attnlab::cuda::gate
