// What products with packed matrices and their dequantisation share.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <type_traits>

#include "kernels/cuda_kernels.h"
#include "kernels/packed_words.h"

namespace attnlab::cuda {

template <class To>
__device__ inline To as(uint32_t bits) {
  return *reinterpret_cast<To*>(&bits);
}
template <class From>
__device__ inline uint32_t bits_of(From value) {
  return *reinterpret_cast<uint32_t*>(&value);
}

struct Packed {
  const uint32_t *qweight, *qzeros;
  const __half* scales;
  const int32_t *g_idx, *order;
};

template <class T>
__device__ inline T number_of(float value) {
  if constexpr (std::is_same_v<T, __half>) return __float2half_rn(value);
  if constexpr (std::is_same_v<T, __nv_bfloat16>) return __float2bfloat16_rn(value);
  if constexpr (std::is_same_v<T, float>) return value;
}

// Calls action with std::integral_constant of the bits.
template <class Action>
bool with_bits(int bits, const Action& action) {
  if (bits == 2) return action(std::integral_constant<int, 2>{}), true;
  if (bits == 3) return action(std::integral_constant<int, 3>{}), true;
  if (bits == 4) return action(std::integral_constant<int, 4>{}), true;
  if (bits == 8) return action(std::integral_constant<int, 8>{}), true;
  return false;
}

inline Packed packed_of(const PackedPointers& p) {
  return {static_cast<const uint32_t*>(p.qweight), static_cast<const uint32_t*>(p.qzeros),
          static_cast<const __half*>(p.scales), static_cast<const int32_t*>(p.g_idx),
          static_cast<const int32_t*>(p.order)};
}

}  // namespace attnlab::cuda
