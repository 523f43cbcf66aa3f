#include "kernels/latent_block.cuh"

// Softmax attention of one query per head over a latent that all heads share (MLA's absorbed form, arXiv
// 2405.04434), the tokens split over blocks as in single_query.cu: which kernel takes it, and what joins the
// parts.
namespace attnlab::cuda {
namespace {

constexpr int kMostParts = latent_join::kMost;

cudaError_t join_latent_parts(const LatentQueryLayout& l, const LatentOut& out, cudaStream_t stream) {
  latent_join::with_most(l.parts, [&](auto most) {
    const dim3 grid(static_cast<unsigned>(l.B * l.N), latent_join::Sizes<most>::blocks_of_row(l.R));
    latent_join::put_together<most><<<grid, latent_join::kThreads, 0, stream>>>(l.parts, l.R, out);
  });
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
#ifdef ATTNLAB_HOPPER
  if (device.capability == 90) {
    const auto error = in.coded.code == LatentCode::none ? latent_query_hopper(l, in, place, stream)
                                                         : latent_coded_hopper(l, in, place, device, stream);
    if (error != cudaErrorNotSupported) return joined(error);
  }
#endif
  if (in.coded.code != LatentCode::none) return joined(latent_query_coded(l, in, place, device, stream));
  const DenseTiles tiles{static_cast<const Bf16*>(in.latent), in.pages};
  return joined(launch_portable(l, tiles, device, in, place, stream));
}

}  // namespace attnlab::cuda
