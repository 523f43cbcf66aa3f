// What the two kernels of latent_query share.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/cuda_kernels.h"
#include "kernels/latent_join.cuh"

namespace attnlab::cuda {

// Scores are multiplied by log2 e, so that weights are powers of two.
constexpr float kLog2E = 1.4426950408889634f;

__device__ inline float latent_score(const LatentQueryLayout& l, float product) {
  const float score = product * l.scale;
  return (l.softcap > 0 ? l.softcap * tanhf(score / l.softcap) : score) * kLog2E;
}

// [first, last): from the first to the last token that the query may look at.
struct TokenRange {
  int first, last;
};

// All threads of a block; `shared` is theirs.
__device__ inline TokenRange visible_tokens(const LatentQueryLayout& l, const bool* mask, int64_t b,
                                            TokenRange* shared) {
  if (!mask) return {0, static_cast<int>(l.S)};
  if (threadIdx.x == 0) *shared = {static_cast<int>(l.S), 0};
  __syncthreads();
  const bool* row = mask + b * l.mask_b;
  int first = static_cast<int>(l.S), last = 0;
  const bool in_words = l.mask_t == 1 && reinterpret_cast<uint64_t>(row) % 16 == 0;
  const int words = in_words ? static_cast<int>(l.S / 16) : 0;
#pragma unroll 4
  for (int w = threadIdx.x; w < words; w += blockDim.x) {
    const uint4 four = __ldg(reinterpret_cast<const uint4*>(row) + w);
    const uint32_t word[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
    for (int i = 0; i < 4; ++i)
      if (word[i]) {
        const int at = 16 * w + 4 * i;
        first = min(first, at + (__ffs(static_cast<int>(word[i])) - 1) / 8);
        last = max(last, at + 4 - __clz(static_cast<int>(word[i])) / 8);
      }
  }
  for (int s = 16 * words + threadIdx.x; s < l.S; s += blockDim.x)
    if (row[s * l.mask_t]) first = min(first, s), last = max(last, s + 1);
  if (first < last) atomicMin(&shared->first, first), atomicMax(&shared->last, last);
  __syncthreads();
  return *shared;
}

// The tiles of this block's part, of `tile` tokens each: [first, last).
__device__ inline TokenRange tiles_of_part(const LatentQueryLayout& l, const TokenRange& tokens, int tile) {
  if (tokens.first >= tokens.last) return {0, 0};
  const int begin = tokens.first / tile, end = (tokens.last + tile - 1) / tile;
  const int each = (end - begin + l.parts - 1) / l.parts, first = begin + static_cast<int>(blockIdx.x) * each;
  return {first, min(end, first + each)};
}

// latent_coded.cu: a latent that is kept as codes.
cudaError_t latent_query_coded(const LatentQueryLayout& layout, const LatentPointers& in, const LatentOut& out,
                               const CudaDevice& device, cudaStream_t stream);
bool fits_latent_coded(const LatentQueryLayout& layout, const CodedTokens& coded, const CudaDevice& device);
// hopper/latent_query.cu: sm_90a.
cudaError_t latent_query_hopper(const LatentQueryLayout& layout, const LatentPointers& in, const LatentOut& out,
                                cudaStream_t stream);
// hopper/latent_coded.cu: sm_90a. cudaErrorNotSupported, and nothing is started, where it does not take these:
// where codes or the rest do not lie at multiples of 16 bytes, where the rest is more than 64 numbers, and
// where so many scales have no room in shared memory.
cudaError_t latent_coded_hopper(const LatentQueryLayout& layout, const LatentPointers& in, const LatentOut& out,
                                const CudaDevice& device, cudaStream_t stream);

}  // namespace attnlab::cuda
