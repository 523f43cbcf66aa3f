#include "kernels/packed_mma.cuh"

namespace attnlab::cuda::packed_blocks {
namespace {

__device__ inline Four read_words(const void* at) {
  const uint4 in = __ldg(static_cast<const uint4*>(at));
  return {{in.x, in.y, in.z, in.w}};
}
// `words` pairs of numbers of 16 bits.
template <class Number, int words>
__device__ inline void read_numbers(const Number* from, uint32_t (&out)[words]) {
  if constexpr (words == 2) {
    const uint2 in = __ldg(reinterpret_cast<const uint2*>(from));
    out[0] = in.x, out[1] = in.y;
  } else {
#pragma unroll
    for (int w = 0; w < words; w += 4) {
      const Four in = read_words(from + 2 * w);
      out[w] = in.word[0], out[w + 1] = in.word[1], out[w + 2] = in.word[2], out[w + 3] = in.word[3];
    }
  }
}
__device__ inline int read_one(const int32_t* at) { return __ldg(at); }
template <class T>
__device__ inline uint32_t read_number(const T* at) {
  return __ldg(reinterpret_cast<const uint16_t*>(at));
}
__device__ inline void write_four(float* at, float a, float b, float c, float d) {
  *reinterpret_cast<float4*>(at) = {a, b, c, d};
}

__device__ inline uint32_t funnel(uint32_t low, uint32_t high, int shift) {
  return __funnelshift_r(low, high, shift);
}
// The first, or second, numbers of two pairs.
__device__ inline uint32_t low_numbers(uint32_t a, uint32_t b) { return __byte_perm(a, b, 0x5410); }
__device__ inline uint32_t high_numbers(uint32_t a, uint32_t b) { return __byte_perm(a, b, 0x7632); }
__device__ inline void widen(uint32_t pair, float& low, float& high) {
  const float2 both = __half22float2(as<__half2>(pair));
  low = both.x, high = both.y;
}
__device__ inline float wide_of(__half x) { return __half2float(x); }
__device__ inline float wide_of(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline uint32_t of_lane(uint32_t mine, int lane) { return __shfl_sync(0xffffffffu, mine, lane); }
__device__ inline void wait_for_block() { __syncthreads(); }

}  // namespace
}  // namespace attnlab::cuda::packed_blocks

#include "kernels/packed_linear.cuh"

namespace attnlab::cuda {
namespace {

struct ProductLaunch {
  packed_blocks::Product product;
  const void* x;
  void* y;
  int multiprocessors;
  cudaStream_t stream;
};

template <class T, int bits>
void launch_product(const ProductLaunch& a) {
  packed_blocks::with_sizes<bits>(
      a.product, a.multiprocessors, [&](auto tiles, auto ordered, auto gathered, auto warps) {
        packed_blocks::product<T, bits, tiles(), ordered() != 0, gathered() != 0, warps()>
            <<<a.product.blocks(), warps() * packed_blocks::kLanes, 0, a.stream>>>(
                a.product, static_cast<const T*>(a.x), static_cast<T*>(a.y));
      });
}

packed_blocks::Product product_of(const PackedLayout& l, const PackedFactor* factors, int count) {
  const auto shared = packed_of(factors[0].pointers);
  packed_blocks::Product out = {l.rows, l.in, 0, l.group, l.zero_offset, shared.g_idx, shared.order, {}};
  for (int i = 0; i < count; ++i) {
    const auto p = packed_of(factors[i].pointers);
    out.matrix[i] = {p.qweight,       p.qzeros,       reinterpret_cast<const uint16_t*>(p.scales),
                     factors[i].bias, factors[i].out, out.blocks()};
    out.out += factors[i].out;
  }
  return out;
}

}  // namespace

bool groups_fill_steps(const PackedLayout& l) {
  bool fill = false;
  with_bits(l.bits, [&](auto bits) { fill = groups_fill_steps<bits()>(l.in, l.group); });
  return fill;
}

cudaError_t packed_products(PackedNumbers numbers, const PackedLayout& l, const void* x,
                            const PackedFactor* factors, int count, void* y, int multiprocessors,
                            cudaStream_t stream) {
  if (l.rows < 1 || l.rows > kMostPackedRows || l.in % 32 != 0 || count < 1 || count > kMostPackedFactors ||
      numbers == PackedNumbers::float32)
    return cudaErrorInvalidValue;
  for (int i = 0; i < count; ++i)
    if (factors[i].out < 1 || factors[i].out % packed_blocks::kColumns != 0) return cudaErrorInvalidValue;
  const ProductLaunch all{product_of(l, factors, count), x, y, multiprocessors, stream};
  if (all.product.order && (l.rows > 1 || !groups_fill_steps(l))) return cudaErrorInvalidValue;
  const bool known = with_bits(l.bits, [&](auto bits) {
    if (numbers == PackedNumbers::float16)
      launch_product<__half, bits()>(all);
    else
      launch_product<__nv_bfloat16, bits()>(all);
  });
  return known ? cudaGetLastError() : cudaErrorInvalidValue;
}

}  // namespace attnlab::cuda
