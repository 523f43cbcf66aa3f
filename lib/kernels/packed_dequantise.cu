#include "kernels/packed.cuh"

namespace attnlab::cuda {
namespace {

constexpr int kInputsOfThread = 32;

// Wᵀ [I, O]; a thread makes 32 inputs of one output.
template <class T, int bits>
__global__ void dequantise(PackedLayout l, Packed p, T* __restrict__ out) {
  const int64_t column = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x, row = blockIdx.y;
  if (column >= l.out) return;
  uint32_t words[bits + 1] = {};
#pragma unroll
  for (int b = 0; b < bits; ++b) words[b] = p.qweight[(row * bits + b) * l.out + column];
  int group = -1;
  float scale = 0;
  uint32_t zero = 0;
  const int64_t bit = bits * column, word = bit / 32, zeros = int64_t{l.out} * bits / 32;
  const int shift = static_cast<int>(bit % 32);
#pragma unroll
  for (int i = 0; i < kInputsOfThread; ++i) {
    const int64_t at = row * kInputsOfThread + i, input = p.order ? p.order[at] : at;
    if (p.g_idx[input] != group) {
      group = p.g_idx[input];
      const uint32_t* stored = p.qzeros + group * zeros + word;
      scale = __half2float(p.scales[int64_t{group} * l.out + column]);
      zero = __funnelshift_r(stored[0], shift + bits > 32 ? stored[1] : 0, shift) + l.zero_offset;
      zero &= Words<bits>::mask;
    }
    const uint32_t q = __funnelshift_r(words[i * bits / 32], words[i * bits / 32 + 1], i * bits % 32);
    const int number = static_cast<int>(q & Words<bits>::mask) - static_cast<int>(zero);
    out[input * l.out + column] = number_of<T>(scale * __int2float_rn(number));
  }
}

}  // namespace

cudaError_t packed_dequantise(PackedNumbers numbers, const PackedLayout& l, const PackedPointers& packed,
                              void* out, cudaStream_t stream) {
  constexpr int threads = 128;
  const dim3 blocks((l.out + threads - 1) / threads, l.in / kInputsOfThread);
  const bool known = with_bits(l.bits, [&](auto bits) {
    const auto launch = [&](auto* to) {
      dequantise<std::remove_pointer_t<decltype(to)>, bits()>
          <<<blocks, threads, 0, stream>>>(l, packed_of(packed), to);
    };
    if (numbers == PackedNumbers::float32) launch(static_cast<float*>(out));
    if (numbers == PackedNumbers::float16) launch(static_cast<__half*>(out));
    if (numbers == PackedNumbers::bfloat16) launch(static_cast<__nv_bfloat16*>(out));
  });
  return known && l.in % kInputsOfThread == 0 ? cudaGetLastError() : cudaErrorInvalidValue;
}

}  // namespace attnlab::cuda
