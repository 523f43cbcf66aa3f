// Tiles of a latent that is kept as codes: where a token's bytes lie, in memory and behind a copy in shared
// memory, and which numbers they are. Arithmetic of blocks without CUDA's headers, so that a CPU can walk a
// block's threads.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp8.h>
#define ATTNLAB_BOTH __host__ __device__ inline
#else
#define ATTNLAB_BOTH inline
#endif

namespace attnlab::cuda {

// none: bfloat16. fp8 is e4m3 under scales of float32, int8 under scales of bfloat16.
enum class LatentCode { none, fp8, int8 };

// One part of each token: `bytes` from at + b · sequence + t · row on.
struct TokenBytes {
  const char* at = nullptr;
  int64_t b = 0, t = 0;
  int bytes = 0;
  int step = 0;  // 16, 8 or 4, a divisor of the address and of all of these
};

struct CodedTokens {
  LatentCode code = LatentCode::none;
  TokenBytes codes, scales, rest;  // the first R numbers, and the others in bfloat16
  int group = 0;                   // neighbours that share a scale, a multiple of 8
  const int* gaps = nullptr;  // [B]: token s stands in row s - gap, or is none where that is negative; null: 0
  int64_t rows = 0;           // of a sequence: what lies behind them is no memory of it
};

// Of a token in shared memory.
struct TokenPlaces {
  int scales, rest, pitch;  // bytes; the codes come first
};
constexpr int kUnit = 8;  // numbers that a thread decodes at a time
constexpr int kTileWarps = 8;

ATTNLAB_BOTH int whole_steps(int bytes) { return (bytes + 15) / 16 * 16; }
ATTNLAB_BOTH TokenPlaces token_places(const CodedTokens& c) {
  const int scales = whole_steps(c.codes.bytes), rest = scales + whole_steps(c.scales.bytes);
  return {scales, rest, rest + whole_steps(c.rest.bytes)};
}

// Zeros where there is no token. On a GPU it has come once this thread's group of copies has.
ATTNLAB_BOTH void copy_step(char* to, const char* from, int step, bool there) {
#ifdef __CUDA_ARCH__
  const auto at = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  if (step == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(there ? 16 : 0)
                 : "memory");
  else if (step == 8)
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(at), "l"(from), "r"(there ? 8 : 0)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(at), "l"(from), "r"(there ? 4 : 0)
                 : "memory");
#else
  for (int i = 0; i < step; ++i) to[i] = there ? from[i] : '\0';
#endif
}

ATTNLAB_BOTH void copy_part(const TokenBytes& part, int64_t b, int64_t row, bool there, int lane, char* to) {
  if (part.bytes == 0) return;  // a part that there is none of lies nowhere
  const char* from = there ? part.at + b * part.b + row * part.t : part.at;
  for (int i = lane * part.step; i < part.bytes; i += 32 * part.step)
    copy_step(to + i, there ? from + i : from, part.step, there);
}

// What a thread copies of a tile of sequence b: its warp takes every eighth token.
template <int tokens>
ATTNLAB_BOTH void copy_tile(const CodedTokens& c, int64_t b, int64_t S, int tile, int thread, char* to) {
  const TokenPlaces places = token_places(c);
  const int64_t first = static_cast<int64_t>(tile) * tokens, gap = c.gaps ? c.gaps[b] : 0;
  for (int token = thread / 32; token < tokens; token += kTileWarps) {
    const int64_t row = first + token - gap;
    const bool there = row >= 0 && first + token < S;
    char* at = to + token * places.pitch;
    copy_part(c.codes, b, row, there, thread % 32, at);
    copy_part(c.scales, b, row, there, thread % 32, at + places.scales);
    copy_part(c.rest, b, row, there, thread % 32, at + places.rest);
  }
}

ATTNLAB_BOTH float float_of_bits(uint32_t bits) {
  float number;
  memcpy(&number, &bits, sizeof number);
  return number;
}

// Two numbers rounded to bfloat16, the first in the lower half.
ATTNLAB_BOTH uint32_t bf16_pair(float low, float high) {
  uint32_t bits[2];
#ifdef __CUDA_ARCH__
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  memcpy(bits, &both, sizeof both);
  return bits[0];
#else
  memcpy(bits, &low, sizeof low), memcpy(bits + 1, &high, sizeof high);
  for (uint32_t& x : bits) x = (x + 0x7fff + (x >> 16 & 1)) >> 16;  // half to even
  return bits[0] | bits[1] << 16;
#endif
}

// scale(): one of a token's; pairs(): four codes, the first in the lowest byte, times such a scale.
template <LatentCode code>
struct Decode;

template <>
struct Decode<LatentCode::fp8> {
  static ATTNLAB_BOTH float scale(const char* scales, int group) {
    return reinterpret_cast<const float*>(scales)[group];
  }
  static ATTNLAB_BOTH void pairs(uint32_t four, float scale, uint32_t (&out)[2]) {
    for (int half = 0; half < 2; ++half) {
#ifdef __CUDA_ARCH__
      const __half2_raw raw =
          __nv_cvt_fp8x2_to_halfraw2(static_cast<__nv_fp8x2_storage_t>(four >> 16 * half), __NV_E4M3);
      const float2 numbers = __half22float2(__half2(raw));
      out[half] = bf16_pair(numbers.x * scale, numbers.y * scale);
#else
      out[half] = bf16_pair(number(four >> 16 * half) * scale, number(four >> (16 * half + 8)) * scale);
#endif
    }
  }

 private:
  // Sign, four bits of exponent with a bias of 7, three of mantissa: those of a float32 whose bias is 127. All
  // ones are NaN.
  static ATTNLAB_BOTH float number(uint32_t byte) {
    if ((byte & 0x7f) == 0x7f) return float_of_bits(0x7fc00000);
    return float_of_bits((byte & 0x80) << 24 | (byte & 0x7f) << 20) * 0x1p120f;
  }
};

template <>
struct Decode<LatentCode::int8> {
  static ATTNLAB_BOTH float scale(const char* scales, int group) {
    return float_of_bits(static_cast<uint32_t>(reinterpret_cast<const uint16_t*>(scales)[group]) << 16);
  }
  // In bfloat16, where from 128 on bits count ones: 128 and a code's seven lower bits, less 128, or 256 where
  // its sign is set, is the code. Its product with a scale of eight bits is rounded once, as in float32.
  static ATTNLAB_BOTH void pairs(uint32_t four, float scale, uint32_t (&out)[2]) {
    constexpr uint32_t ones = 0x43004300;
    for (int half = 0; half < 2; ++half) {
      const uint32_t apart = two_apart(four, half);
      out[half] = scaled_difference((apart & 0x007f007f) | ones, (apart & 0x00800080) | ones, scale);
    }
  }

 private:
  // Two of four bytes, each with a byte of zeros above it.
  static ATTNLAB_BOTH uint32_t two_apart(uint32_t four, int half) {
#ifdef __CUDA_ARCH__
    return __byte_perm(four, 0, half == 0 ? 0x4140 : 0x4342);
#else
    const uint32_t two = four >> 16 * half;
    return (two & 0xff) | (two & 0xff00) << 8;
#endif
  }
  static ATTNLAB_BOTH uint32_t scaled_difference(uint32_t a, uint32_t b, float scale) {
#ifdef __CUDA_ARCH__
    const uint32_t bits = __float_as_uint(scale), both = bits | bits >> 16;
    __nv_bfloat162 from, less, by;
    memcpy(&from, &a, sizeof a), memcpy(&less, &b, sizeof b), memcpy(&by, &both, sizeof both);
    const __nv_bfloat162 product = __hmul2(__hsub2(from, less), by);
    memcpy(&a, &product, sizeof a);
    return a;
#else
    const float low = float_of_bits(a << 16) - float_of_bits(b << 16);
    const float high = float_of_bits(a & 0xffff0000) - float_of_bits(b & 0xffff0000);
    return bf16_pair(low * scale, high * scale);
#endif
  }
};

struct alignas(8) EightCodes {
  uint32_t four[2];
};
struct alignas(16) EightBf16 {
  uint32_t pairs[4];
};

template <LatentCode code>
ATTNLAB_BOTH EightBf16 decode_unit(const EightCodes& codes, float scale) {
  EightBf16 out;
  for (int i = 0; i < 2; ++i) {
    uint32_t pairs[2];
    Decode<code>::pairs(codes.four[i], scale, pairs);
    out.pairs[2 * i] = pairs[0], out.pairs[2 * i + 1] = pairs[1];
  }
  return out;
}

// What a thread makes of a copied tile: all numbers in bfloat16, a token's `pitch` numbers (of 2 bytes) behind
// the last one's. R numbers are codes.
template <LatentCode code, int tokens>
ATTNLAB_BOTH void decode_tile(const CodedTokens& c, int R, int W, int thread, const char* from, char* to,
                              int pitch) {
  const TokenPlaces places = token_places(c);
  for (int unit = thread % 32; unit < W / kUnit; unit += 32) {
    const bool coded = unit < R / kUnit;
    const int group = unit * kUnit / c.group;
    const int at = coded ? unit * kUnit : places.rest + (unit * kUnit - R) * 2;
    for (int t = 0; t < tokens / kTileWarps; ++t) {
      const int token = thread / 32 + t * kTileWarps;
      const char* row = from + token * places.pitch;
      auto* out = reinterpret_cast<EightBf16*>(to + (token * pitch + unit * kUnit) * 2);
      *out = coded ? decode_unit<code>(*reinterpret_cast<const EightCodes*>(row + at),
                                       Decode<code>::scale(row + places.scales, group))
                   : *reinterpret_cast<const EightBf16*>(row + at);
    }
  }
}

}  // namespace attnlab::cuda
