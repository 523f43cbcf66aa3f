#include "kernels/latent_block.cuh"

// Softmax attention of one query per head over a latent that all heads share (MLA's absorbed form, arXiv
// 2405.04434), the tokens split over blocks as in single_query.cu: which kernel takes it, and what joins the
// parts.
namespace attnlab::cuda {
namespace {

constexpr int kMostParts = 256;  // of a sequence

// A block for each query head of each sequence.
constexpr int kJoinThreads = 128;
__global__ void __launch_bounds__(kJoinThreads) put_together(LatentQueryLayout l, LatentOut in) {
  __shared__ float shares[kMostParts];
  const int64_t row = blockIdx.x;
  const LatentPartial* mine = in.partials + row * l.parts;
  const int lane = threadIdx.x % 32;
  // Every warp looks at all parts, so that none waits for another.
  constexpr int each = kMostParts / 32;
  LatentPartial part[each];
  float highest = kNeverLatent, total = 0;
#pragma unroll
  for (int i = 0; i < each; ++i) {
    const int p = lane + 32 * i;
    part[i] = p < l.parts ? mine[p] : LatentPartial{kNeverLatent, 0};
    highest = fmaxf(highest, part[i].maximum);
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2)
    highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, step));
#pragma unroll
  for (int i = 0; i < each; ++i) {
    part[i].maximum = latent_weight(part[i].maximum, highest);
    total += part[i].maximum * part[i].sum;
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2) total += __shfl_xor_sync(0xffffffffu, total, step);
  if (threadIdx.x < 32)
#pragma unroll
    for (int i = 0; i < each; ++i) shares[lane + 32 * i] = total > 0 ? part[i].maximum / total : 0;
  __syncthreads();
  for (int i = 4 * threadIdx.x; i < l.R; i += 4 * kJoinThreads) {
    float4 sum = {0, 0, 0, 0};
#pragma unroll 8
    for (int p = 0; p < l.parts; ++p) {
      const float share = shares[p];  // 0: nothing may have been written
      if (share == 0) continue;
      const float4 x = __ldcs(reinterpret_cast<const float4*>(in.values + (row * l.parts + p) * l.R + i));
      sum.x += x.x * share, sum.y += x.y * share, sum.z += x.z * share, sum.w += x.w * share;
    }
    __nv_bfloat162 pairs[2] = {__floats2bfloat162_rn(sum.x, sum.y), __floats2bfloat162_rn(sum.z, sum.w)};
    *reinterpret_cast<uint2*>(in.out + row * l.R + i) = *reinterpret_cast<const uint2*>(pairs);
  }
}

cudaError_t join_latent_parts(const LatentQueryLayout& l, const LatentOut& out, cudaStream_t stream) {
  put_together<<<static_cast<unsigned>(l.B * l.N), kJoinThreads, 0, stream>>>(l, out);
  return cudaGetLastError();
}

}  // namespace

bool fits_latent_query(const LatentQueryLayout& l, const CodedTokens& coded, const CudaDevice& device) {
  constexpr int step = 16, widest = 512, block = 128, rest = 64, pack = 8;
  const bool memory = coded.code == LatentCode::none ? has_memory(l, DenseTiles{}, device)
                                                     : fits_latent_coded(l, coded, device);
  return device.capability >= 80 && memory && l.R > 0 && l.R <= widest && l.R % step == 0 && l.W % step == 0 &&
         l.W >= l.R && l.W <= (l.R + block - 1) / block * block + rest && l.latent_b % pack == 0 &&
         l.latent_t % pack == 0;
}

// Blocks run in rounds of as many as there are multiprocessors. Beside its tiles a block begins and ends, which
// takes as long as reading some 220 KB, and with others of its sequence leaves numbers that are read again.
int latent_query_parts(int64_t B, int64_t N, int64_t S, int64_t token_bytes, const CudaDevice& device) {
  constexpr int64_t begin_and_end = 220'000, left = 220'000;
  const int64_t rows = B * ((N + 31) / 32), tiles = (S + kLatentTile - 1) / kLatentTile;
  const int64_t half = (tiles + 1) / 2, most = half < kMostParts ? half : kMostParts;
  int64_t best = 1, least = 0;
  for (int64_t parts = 1; parts <= most; ++parts) {
    const int64_t rounds = (rows * parts + device.multiprocessors - 1) / device.multiprocessors;
    const int64_t bytes = (tiles + parts - 1) / parts * kLatentTile * token_bytes;
    const int64_t cost = rounds * (bytes + begin_and_end + (parts > 1 ? left : 0));
    if (parts == 1 || cost < least) best = parts, least = cost;
  }
  return static_cast<int>(best);
}

int64_t latent_query_workspace(const LatentQueryLayout& l) {
  return l.parts > 1 ? l.B * l.N * l.parts * (2 + int64_t{l.R}) : 0;
}

cudaError_t latent_query(const LatentQueryLayout& l, const LatentPointers& in, void* out, float* workspace,
                         const CudaDevice& device, cudaStream_t stream) {
  if (!fits_latent_query(l, in.coded, device) || l.parts > kMostParts) return cudaErrorInvalidValue;
  const int64_t rows = l.B * l.N;
  const LatentOut place{reinterpret_cast<LatentPartial*>(workspace + rows * l.parts * l.R),
                        l.parts > 1 ? workspace : nullptr, static_cast<Bf16*>(out)};
  const auto joined = [&](cudaError_t error) {
    return error != cudaSuccess || l.parts == 1 ? error : join_latent_parts(l, place, stream);
  };
  if (in.coded.code != LatentCode::none) return joined(latent_query_coded(l, in, place, device, stream));
#ifdef ATTNLAB_HOPPER
  if (device.capability == 90) return joined(latent_query_hopper(l, in, place, stream));
#endif
  const DenseTiles tiles{static_cast<const Bf16*>(in.latent), in.pages};
  return joined(launch_portable(l, tiles, device, in, place, stream));
}

}  // namespace attnlab::cuda
