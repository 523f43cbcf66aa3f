// Several neighbouring numbers at a time, as float32.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/wkv_layout.h"

namespace attnlab::cuda {

template <class T>
__device__ inline float load(T value) {
  return static_cast<float>(value);
}
template <class T>
__device__ inline T round_to(float value) {
  return static_cast<T>(value);
}
template <>
__device__ inline float load(__nv_bfloat16 value) {
  return __bfloat162float(value);
}
template <>
__device__ inline __nv_bfloat16 round_to(float value) {
  return __float2bfloat16_rn(value);
}

// n numbers in one access of n · sizeof(T) bytes; the address is a multiple of that.
template <class T, int n>
struct alignas(n * sizeof(T)) Pack {
  T values[n];
};

template <int n, class T>
__device__ inline void read(const T* at, float (&out)[n]) {
  const auto pack = *reinterpret_cast<const Pack<T, n>*>(at);
#pragma unroll
  for (int i = 0; i < n; ++i) out[i] = load(pack.values[i]);
}

template <int n, class T>
__device__ inline void write(T* at, const float (&in)[n]) {
  Pack<T, n> pack;
#pragma unroll
  for (int i = 0; i < n; ++i) pack.values[i] = round_to<T>(in[i]);
  *reinterpret_cast<Pack<T, n>*>(at) = pack;
}

// Calls action with a null pointer of the format's type.
template <class Action>
void with_type(Format format, const Action& action) {
  if (format == Format::bfloat16)
    action(static_cast<__nv_bfloat16*>(nullptr));
  else
    action(static_cast<float*>(nullptr));
}

}  // namespace attnlab::cuda
