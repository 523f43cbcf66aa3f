#include "kernels/packed.cuh"

namespace attnlab::cuda::packed_blocks {
namespace {

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
