#include "kernels/packed_mma.cuh"
#include "kernels/packed_stream_layout.h"

namespace attnlab::cuda::packed_stream {
namespace {

constexpr bool kSkips = true;  // what a warp has no words for

// Into shared memory; zeros where there is nothing. Each call is a group of its own.
__device__ inline void ask_for(Four* to, const uint32_t* from, bool there) {
  const auto at = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;\n cp.async.commit_group;" ::"r"(at),
               "l"(from), "r"(there ? 16 : 0)
               : "memory");
}
// What this thread asked for `depth` calls ago is there.
template <int depth>
__device__ inline void wait_for_oldest() {
  asm volatile("cp.async.wait_group %0;" ::"n"(depth - 1) : "memory");
}
__device__ inline void read_two(const uint16_t* at, uint32_t (&out)[2]) {
  const uint2 both = __ldg(reinterpret_cast<const uint2*>(at));
  out[0] = both.x, out[1] = both.y;
}
__device__ inline uint32_t read_one(const uint32_t* at) { return __ldg(at); }
__device__ inline Four read_four(const void* at) {
  const uint4 in = *static_cast<const uint4*>(at);
  return {{in.x, in.y, in.z, in.w}};
}

// From shared memory.
template <int words>
__device__ inline void read_pairs(const uint16_t* at, bool, uint32_t (&out)[words]) {
  if constexpr (words == 2) {
    const uint2 in = *reinterpret_cast<const uint2*>(at);
    out[0] = in.x, out[1] = in.y;
  } else {
#pragma unroll
    for (int w = 0; w < words; w += 4) {
      const uint4 in = *reinterpret_cast<const uint4*>(at + 2 * w);
      out[w] = in.x, out[w + 1] = in.y, out[w + 2] = in.z, out[w + 3] = in.w;
    }
  }
}
__device__ inline void write_four(float* at, float a, float b, float c, float d) {
  *reinterpret_cast<float4*>(at) = {a, b, c, d};
}

__device__ inline uint32_t funnel(uint32_t low, uint32_t high, int shift) {
  return __funnelshift_r(low, high, shift);
}
__device__ inline uint32_t of_lane(uint32_t mine, int lane) { return __shfl_sync(0xffffffffu, mine, lane); }
__device__ inline void widen(uint32_t pair, float& low, float& high) {
  const float2 both = __half22float2(as<__half2>(pair));
  low = both.x, high = both.y;
}
__device__ inline float wide_of(__half x) { return __half2float(x); }
__device__ inline float wide_of(__nv_bfloat16 x) { return __bfloat162float(x); }

__device__ inline uint16_t* shared_memory() {
  extern __shared__ uint4 memory[];
  return reinterpret_cast<uint16_t*>(memory);
}

}  // namespace
}  // namespace attnlab::cuda::packed_stream

#include "kernels/packed_stream.cuh"

namespace attnlab::cuda {
namespace {

struct StreamLaunch {
  const PackedLayout& layout;
  packed_stream::Pointers at;
  const int* outs;
  int parts, multiprocessors, shared_limit;
  cudaStream_t stream;
};

template <class T, int bits, int tiles, int depth>
cudaError_t launch_deep(const StreamLaunch& a, const PackedStreamLayout& layout) {
  auto* kernel = packed_stream::product<T, bits, tiles, depth>;
  const int bytes = layout.shared_bytes(depth);
  if (const auto error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
      error != cudaSuccess)
    return error;
  kernel<<<layout.blocks, packed_stream::kThreads, bytes, a.stream>>>(layout, a.at);
  return cudaGetLastError();
}

template <class T, int bits>
cudaError_t launch_stream(const StreamLaunch& a) {
  using namespace packed_stream;
  const PackedLayout& l = a.layout;
  auto layout = packed_stream_layout<bits>(l.rows, l.in, l.group, a.outs, a.parts, a.multiprocessors);
  layout.zero_offset = l.zero_offset;
  const bool deep = layout.shared_bytes(kDeep) <= a.shared_limit;
  if (l.rows <= kColumns)
    return deep ? launch_deep<T, bits, 1, kDeep>(a, layout) : launch_deep<T, bits, 1, kShallow>(a, layout);
  return deep ? launch_deep<T, bits, 2, kDeep>(a, layout) : launch_deep<T, bits, 2, kShallow>(a, layout);
}

}  // namespace

bool fits_packed_products(const PackedLayout& l, int shared_limit) {
  bool fits = false;
  with_bits(l.bits, [&](auto bits) {
    const bool in_order = l.group > 0 && (l.group % Words<bits()>::step == 0 || l.group >= l.in);
    const int out = packed_stream::kHeight;
    fits =
        in_order && l.rows >= 1 && l.rows <= kMostPackedRows && l.in % 32 == 0 &&
        packed_stream_layout<bits()>(l.rows, l.in, l.group, &out, 1, 1).shared_bytes(packed_stream::kShallow) <=
            shared_limit;
  });
  return fits;
}

cudaError_t packed_products(PackedNumbers numbers, const PackedLayout& l, const void* x, const void* place,
                            const PackedFactor* parts, int count, void* out, const CudaDevice& device,
                            cudaStream_t stream) {
  if (!fits_packed_products(l, device.shared_bytes) || count < 1 || count > packed_stream::kMostParts ||
      numbers == PackedNumbers::float32)
    return cudaErrorInvalidValue;
  packed_stream::Pointers at = {};
  int outs[packed_stream::kMostParts] = {};
  at.x = x, at.place = static_cast<const int32_t*>(place), at.y = out;
  for (int i = 0; i < count; ++i) {
    const auto p = packed_of(parts[i].pointers);
    at.part[i] = {p.qweight, p.qzeros, reinterpret_cast<const uint16_t*>(p.scales), parts[i].bias};
    outs[i] = parts[i].out;
    if (outs[i] % packed_stream::kHeight != 0) return cudaErrorInvalidValue;
  }
  const StreamLaunch all{l, at, outs, count, device.multiprocessors, device.shared_bytes, stream};
  cudaError_t error = cudaErrorInvalidValue;
  with_bits(l.bits, [&](auto bits) {
    error = numbers == PackedNumbers::float16 ? launch_stream<__half, bits()>(all)
                                              : launch_stream<__nv_bfloat16, bits()>(all);
  });
  return error;
}

}  // namespace attnlab::cuda
