// Where the blocks of latent_block.cuh have their tiles from. A source says how much shared memory they take,
// begins to copy one, and gives it as bfloat16, the numbers of tokens tile_pitch apart.
#pragma once

#include "kernels/coded_tile.h"
#include "kernels/latent_query.cuh"

namespace attnlab::cuda {
namespace {

constexpr int kLatentWarps = kTileWarps, kLatentThreads = 32 * kLatentWarps;

__host__ __device__ inline int tile_pitch(int W) { return W + 8; }  // an odd number of 16 bytes
__host__ __device__ inline int tile_bytes(int W, int tokens) { return tokens * tile_pitch(W) * 2; }

__device__ inline void copy_16(void* to, const void* from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                   static_cast<uint32_t>(__cvta_generic_to_shared(to))),
               "l"(from), "r"(there ? 16 : 0)
               : "memory");
}
__device__ inline void copies_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int left>
__device__ inline void copies_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
}

// bfloat16, copied to where it is read. A warp copies every eighth token; zeros behind the last.
struct DenseTiles {
  const Bf16* latent;
  const int* pages;

  __host__ __device__ int bytes(const LatentQueryLayout& l, int tokens, int stages) const {
    return stages * tile_bytes(l.W, tokens);
  }
  template <int tokens>
  __device__ const Bf16* ready(const LatentQueryLayout& l, char* memory, int stage) const {
    return reinterpret_cast<const Bf16*>(memory + stage * tile_bytes(l.W, tokens));
  }
  template <int tokens>
  __device__ void fetch(const LatentQueryLayout& l, int tile, char* memory, int stage) const {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, packs = l.W / 8, pitch = tile_pitch(l.W);
    const int first = tile * tokens;
    Bf16* to = reinterpret_cast<Bf16*>(memory + stage * tile_bytes(l.W, tokens));
    const Bf16* from = latent + blockIdx.z * l.latent_b + first * l.latent_t;
    if (pages) {
      const int64_t row = blockIdx.z * ((l.S + kLatentTile - 1) / kLatentTile);
      from = latent + pages[row + first / kLatentTile] * l.latent_b + first % kLatentTile * l.latent_t;
    }
#pragma unroll
    for (int t = 0; t < tokens / kLatentWarps; ++t) {
      const int token = warp + t * kLatentWarps;
      const bool there = first + token < l.S;
      for (int p = lane; p < packs; p += 32)
        copy_16(to + token * pitch + p * 8, there ? from + token * l.latent_t + p * 8 : latent, there);
    }
  }
};

// Codes, copied as they are; a tile is decoded when it is used.
template <LatentCode code>
struct CodedTiles {
  CodedTokens coded;

  __host__ __device__ int bytes(const LatentQueryLayout& l, int tokens, int stages) const {
    return tile_bytes(l.W, tokens) + stages * tokens * token_places(coded).pitch;
  }
  template <int tokens>
  __device__ char* copied(const LatentQueryLayout& l, char* memory, int stage) const {
    return memory + tile_bytes(l.W, tokens) + stage * tokens * token_places(coded).pitch;
  }
  template <int tokens>
  __device__ void fetch(const LatentQueryLayout& l, int tile, char* memory, int stage) const {
    copy_tile<tokens>(coded, blockIdx.z, l.S, tile, static_cast<int>(threadIdx.x),
                      copied<tokens>(l, memory, stage));
  }
  // All threads of the block; they have left the tile before.
  template <int tokens>
  __device__ const Bf16* ready(const LatentQueryLayout& l, char* memory, int stage) const {
    decode_tile<code, tokens>(coded, l.R, l.W, static_cast<int>(threadIdx.x), copied<tokens>(l, memory, stage),
                              memory, tile_pitch(l.W));
    __syncthreads();
    return reinterpret_cast<const Bf16*>(memory);
  }
};

}  // namespace
}  // namespace attnlab::cuda
