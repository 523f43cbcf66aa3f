#include <cuda_bf16.h>

#include <array>
#include <cmath>

#include "cuda_block.h"
#include "kernels/packed_words.h"
#include "kernels_on_cpu.h"

namespace attnlab::cuda::packed_blocks {
namespace {

constexpr unsigned kMostThreads = 512, kLanesOfWarp = 32;

template <class T, int bits>
constexpr uint32_t kBase = bits == 8 ? 0x6400u : 0x4300u;

Four read_words(const void* at) {
  Four out;
  std::memcpy(&out, at, sizeof(out));
  return out;
}
template <class Number, int words>
void read_numbers(const Number* from, uint32_t (&out)[words]) {
  std::memcpy(out, from, sizeof(out));
}
int read_one(const int32_t* at) { return *at; }
uint32_t read_number(const __nv_bfloat16* at) { return at->bits; }
void write_four(float* at, float a, float b, float c, float d) { at[0] = a, at[1] = b, at[2] = c, at[3] = d; }

uint32_t funnel(uint32_t low, uint32_t high, int shift) {
  return static_cast<uint32_t>((uint64_t{high} << 32 | low) >> (shift % 32));
}
uint32_t low_numbers(uint32_t a, uint32_t b) { return b << 16 | (a & 0xffff); }
uint32_t high_numbers(uint32_t a, uint32_t b) { return (b & 0xffff0000) | a >> 16; }

uint32_t of_lane(uint32_t mine, int lane) {
  float passed;
  std::memcpy(&passed, &mine, sizeof(passed));
  passed =
      test::CpuBlock::exchange(passed, threadIdx.x / kLanesOfWarp * kLanesOfWarp + static_cast<unsigned>(lane));
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
template <class T>
uint32_t pair_of(float low, float high) {
  return uint32_t{__float2bfloat16_rn(high).bits} << 16 | __float2bfloat16_rn(low).bits;
}

// Differences of whole numbers below 256 are exact.
template <class T, int bits>
uint32_t centred(uint32_t fields, uint32_t zeros) {
  const auto number = [&](int shift) {
    const auto q = static_cast<int>(fields >> shift & 0xffff),
               z = static_cast<int>((zeros >> shift & 0xffff) - kBase<T, bits>);
    return static_cast<float>(q - z);
  };
  return pair_of<T>(number(0), number(16));
}

float number_in(uint32_t pair, unsigned high) {
  return __bfloat162float({static_cast<uint16_t>(high ? pair >> 16 : pair & 0xffff)});
}

struct Held {
  uint32_t a[4], b[2];
};
std::array<Held, kMostThreads> held[2];  // they take turns: before a lane holds its next but one, all have read
std::array<unsigned, kMostThreads> held_so_far;

// What lanes hold of mma.m16n8k16 is told in few_rows.cpp. Those of a warp wait as often, whatever other warps
// do.
template <class T>
void multiply(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  const unsigned me = threadIdx.x, first = me / kLanesOfWarp * kLanesOfWarp, g = me % kLanesOfWarp / 4,
                 t = me % 4;
  auto& now = held[held_so_far[me]++ % 2];
  now[me] = {{a[0], a[1], a[2], a[3]}, {b0, b1}};
  test::CpuBlock::wait();
  for (unsigned i = 0; i < 4; ++i)
    for (unsigned k = 0; k < 16; ++k) {
      const unsigned row = i / 2, column = 2 * t + i % 2, quarter = k % 8 / 2, up = k / 8;
      const Held &left = now[first + 4 * g + quarter], &right = now[first + 4 * column + quarter];
      sums[i] += number_in(left.a[row + 2 * up], k % 2) * number_in(right.b[up], k % 2);
    }
}

// Warps come here after products of different numbers.
unsigned come_so_far;
void wait_for_block() {
  const unsigned all = (come_so_far++ / blockDim.x + 1) * blockDim.x;
  while (come_so_far < all) test::CpuBlock::wait();
}

}  // namespace
}  // namespace attnlab::cuda::packed_blocks

#include "kernels/packed_linear.cuh"

namespace attnlab::test {
namespace {

namespace blocks = cuda::packed_blocks;

template <int bits>
void packed_products_of(const blocks::Product& product, const PackedOnCpu& z) {
  using Number = __nv_bfloat16;
  blocks::with_sizes<bits>(
      product, z.multiprocessors, [&](auto tiles, auto ordered, auto gathered, auto warps) {
        blocks::held_so_far = {};
        blocks::come_so_far = 0;
        CpuBlock::run(static_cast<unsigned>(product.blocks()), warps() * blocks::kLanesOfWarp, [&] {
          blocks::product<Number, bits, tiles(), ordered() != 0, gathered() != 0, warps()>(
              product, static_cast<const Number*>(z.x), static_cast<Number*>(z.y));
        });
      });
}

}  // namespace

void packed_products_on_cpu(const PackedOnCpu& z) {
  blocks::Product product = {z.rows, z.in, 0, z.group, z.zero_offset, z.g_idx, z.order, {}};
  for (int i = 0; i < z.count; ++i) {
    const auto& matrix = z.matrix[i];
    product.matrix[i] = {static_cast<const uint32_t*>(matrix.qweight),
                         static_cast<const uint32_t*>(matrix.qzeros),
                         static_cast<const uint16_t*>(matrix.scales),
                         matrix.bias,
                         matrix.out,
                         product.blocks()};
    product.out += matrix.out;
  }
  if (z.bits == 2) packed_products_of<2>(product, z);
  if (z.bits == 3) packed_products_of<3>(product, z);
  if (z.bits == 4) packed_products_of<4>(product, z);
  if (z.bits == 8) packed_products_of<8>(product, z);
}

}  // namespace attnlab::test
