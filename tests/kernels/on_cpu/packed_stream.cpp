#include <cuda_bf16.h>

#include <array>
#include <cmath>

#include "cuda_block.h"
#include "kernels/packed_stream_layout.h"
#include "kernels_on_cpu.h"

namespace attnlab::cuda::packed_stream {
namespace {

constexpr bool kSkips = false;  // threads of a block wait equally often

template <class T, int bits>
constexpr uint32_t kBase = bits == 8 ? 0x6400u : 0x4300u;

void ask_for(Four* to, const uint32_t* from, bool there) {
  *to = {};
  if (there) std::memcpy(to, from, sizeof(*to));
}
template <int depth>
void wait_for_oldest() {}
void read_two(const uint16_t* at, uint32_t (&out)[2]) { std::memcpy(out, at, sizeof(out)); }
uint32_t read_one(const uint32_t* at) { return *at; }
Four read_four(const void* at) {
  Four out;
  std::memcpy(&out, at, sizeof(out));
  return out;
}
template <int words>
void read_pairs(const uint16_t* at, bool there, uint32_t (&out)[words]) {
  for (auto& word : out) word = 0;
  if (there) std::memcpy(out, at, sizeof(out));
}
void write_four(float* at, float a, float b, float c, float d) { at[0] = a, at[1] = b, at[2] = c, at[3] = d; }

uint32_t funnel(uint32_t low, uint32_t high, int shift) {
  return static_cast<uint32_t>((uint64_t{high} << 32 | low) >> shift);
}
uint32_t of_lane(uint32_t mine, int lane) {
  float passed;
  std::memcpy(&passed, &mine, sizeof(passed));
  passed = test::CpuBlock::exchange(passed, threadIdx.x / kLanes * kLanes + static_cast<unsigned>(lane));
  uint32_t out;
  std::memcpy(&out, &passed, sizeof(out));
  return out;
}
float from_half(uint32_t bits) {
  const auto fraction = static_cast<float>(bits & 0x3ff);
  const int exponent = static_cast<int>(bits >> 10 & 0x1f);
  const float size = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return bits >> 15 ? -size : size;
}
void widen(uint32_t pair, float& low, float& high) {
  low = from_half(pair & 0xffff), high = from_half(pair >> 16);
}
float wide_of(__nv_bfloat16 x) { return __bfloat162float(x); }
template <class T>
T number_of(float x) {
  return __float2bfloat16_rn(x);
}

// Differences of whole numbers below 256 are exact.
template <class T, int bits>
uint32_t centred(uint32_t fields, uint32_t zeros) {
  const uint32_t base = kBase<T, bits>;
  const auto number = [&](int shift) {
    const auto q = static_cast<int>(fields >> shift & 0xffff),
               z = static_cast<int>((zeros >> shift & 0xffff) - base);
    return uint32_t{__float2bfloat16_rn(static_cast<float>(q - z)).bits};
  };
  return number(16) << 16 | number(0);
}

float number_in(uint32_t pair, unsigned high) {
  return __bfloat162float({static_cast<uint16_t>(high ? pair >> 16 : pair & 0xffff)});
}

struct Held {
  uint32_t a[4], b[2];
};
std::array<Held, kThreads> held[2];  // they take turns: before a thread holds its next but one, all have read
std::array<unsigned, kThreads> held_so_far;

// What threads hold of mma.m16n8k16 is told in few_rows.cpp.
template <class T>
void multiply(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  const unsigned me = threadIdx.x, first = me / kLanes * kLanes, g = me % kLanes / 4, t = me % 4;
  auto& now = held[held_so_far[me]++ % 2];
  now[me] = {{a[0], a[1], a[2], a[3]}, {b0, b1}};
  __syncthreads();
  for (unsigned i = 0; i < 4; ++i)
    for (unsigned k = 0; k < 16; ++k) {
      const unsigned row = i / 2, column = 2 * t + i % 2, quarter = k % 8 / 2, up = k / 8;
      const Held &left = now[first + 4 * g + quarter], &right = now[first + 4 * column + quarter];
      sums[i] += number_in(left.a[row + 2 * up], k % 2) * number_in(right.b[up], k % 2);
    }
}

uint16_t* shared_memory() {
  alignas(16) static std::array<uint16_t, 1 << 17> numbers;
  return numbers.data();
}

}  // namespace
}  // namespace attnlab::cuda::packed_stream

#include "kernels/packed_stream.cuh"

namespace attnlab::test {
namespace {

template <int bits>
void packed_products_of(const PackedOnCpu& z) {
  namespace stream = cuda::packed_stream;
  int outs[stream::kMostParts] = {};
  stream::Pointers at = {.x = z.x, .place = z.place, .part = {}, .y = z.y};
  for (int i = 0; i < z.parts; ++i) {
    const auto& part = z.part[i];
    at.part[i] = {static_cast<const uint32_t*>(part.qweight), static_cast<const uint32_t*>(part.qzeros),
                  static_cast<const uint16_t*>(part.scales), part.bias};
    outs[i] = part.out;
  }
  auto layout = cuda::packed_stream_layout<bits>(z.rows, z.in, z.group, outs, z.parts, z.multiprocessors);
  layout.zero_offset = z.zero_offset;
  stream::held_so_far = {};
  CpuBlock::run(static_cast<unsigned>(layout.blocks), stream::kThreads, [&] {
    if (z.rows > stream::kColumns)
      stream::product<__nv_bfloat16, bits, 2, stream::kShallow>(layout, at);
    else
      stream::product<__nv_bfloat16, bits, 1, stream::kDeep>(layout, at);
  });
}

}  // namespace

void packed_products_on_cpu(const PackedOnCpu& z) {
  if (z.bits == 2) packed_products_of<2>(z);
  if (z.bits == 3) packed_products_of<3>(z);
  if (z.bits == 4) packed_products_of<4>(z);
  if (z.bits == 8) packed_products_of<8>(z);
}

}  // namespace attnlab::test
