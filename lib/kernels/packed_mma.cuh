// What products with packed matrices on tensor cores are made of.
#pragma once

#include "kernels/packed.cuh"

namespace attnlab::cuda {

// In which 16 bits whole numbers are made: 1024 + q (half) for q < 1024, 128 + q (bfloat16) for q < 128.
template <class T, int bits>
constexpr bool kInHalf = std::is_same_v<T, __half> || bits == 8;
template <class T, int bits>
constexpr uint32_t kBase = kInHalf<T, bits> ? 0x6400u : 0x4300u;

template <class T>
__device__ inline uint32_t pair_of(float low, float high) {
  if constexpr (std::is_same_v<T, __half>)
    return bits_of(__floats2half2_rn(low, high));
  else
    return bits_of(__floats2bfloat162_rn(low, high));
}

// Two numbers q - z in T; `fields` holds both q, `zeros` kBase + z twice.
template <class T, int bits>
__device__ inline uint32_t centred(uint32_t fields, uint32_t zeros) {
  const uint32_t numbers = fields | (kBase<T, bits> << 16 | kBase<T, bits>);
  if constexpr (!kInHalf<T, bits>)
    return bits_of(__hsub2(as<__nv_bfloat162>(numbers), as<__nv_bfloat162>(zeros)));
  const __half2 both = __hsub2(as<__half2>(numbers), as<__half2>(zeros));
  if constexpr (std::is_same_v<T, __half>) return bits_of(both);
  const float2 wide = __half22float2(both);
  return pair_of<T>(wide.x, wide.y);
}

// sums [16, 8] += a [16, 16] b [16, 8].
template <class T>
__device__ inline void multiply(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  if constexpr (std::is_same_v<T, __half>)
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  else
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

}  // namespace attnlab::cuda
