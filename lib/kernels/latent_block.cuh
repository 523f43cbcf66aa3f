// The path of latent_query for matrix units from compute capability 8.0 on; hopper/latent_query.cu has one of
// its own. A tile of tokens comes into shared memory once and is read for both products:
//   scores   S [heads, tokens] = Q Kᵀ: a warp takes a quarter of the W numbers (its queries stay in registers)
//            and half of the tokens; the quarters are added in shared memory
//   sums     O [heads, R] += P V: a warp takes an eighth of the columns
#pragma once

#include <cmath>

#include "kernels/latent_tiles.cuh"

namespace attnlab::cuda {
namespace {

constexpr int kQuarters = 4, kStages = 2;

// Four matrices of 8 × 8; each lane gives the address of a row.
__device__ inline void load_matrices(uint32_t (&out)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
}
__device__ inline void load_transposed(uint32_t (&out)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
}
// sums [16, 8] += a [16, 16] b [16, 8].
__device__ inline void multiply(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// head_tiles: of 16 heads; blocks: of 16 columns that a warp sums; tokens of a tile.
template <int head_tiles, int blocks, int tokens>
struct Form {
  static constexpr int heads = 16 * head_tiles,
                       steps = 2 * blocks + 1;  // of 16 numbers, of a quarter of the keys
  static constexpr int row = tokens + 8;        // of scores and weights
  static constexpr int lanes = kLatentThreads / heads, each = tokens / lanes;  // threads of a head in softmax
  static constexpr int bytes =                                                 // beside the tiles
      kQuarters * heads * row * 4 + heads * row * 2 + heads * 4 * 2 + 16;
};

template <class F>
struct Memory {
  char* tiles;
  float* scores;  // [quarters, heads, row]
  Bf16* weights;  // [heads, row]
  float* shrink;  // [heads]
  TokenRange* range;
  __device__ Memory(char* at, int tile_bytes) {
    tiles = at, at += tile_bytes;
    scores = reinterpret_cast<float*>(at), at += kQuarters * F::heads * F::row * 4;
    weights = reinterpret_cast<Bf16*>(at), at += F::heads * F::row * 2;
    shrink = reinterpret_cast<float*>(at), at += F::heads * 4;
    range = reinterpret_cast<TokenRange*>(at);
  }
};

template <int head_tiles, int blocks, int tokens>
struct Block {
  using F = Form<head_tiles, blocks, tokens>;
  static constexpr int halves = tokens / 16;  // tiles of 8 tokens that a warp scores
  const LatentQueryLayout& l;
  Memory<F> memory;
  int warp, lane, pitch, first_step, n_steps;
  uint32_t queries[F::steps][head_tiles][4];
  float o[head_tiles][2 * blocks][4];
  float maximum = kNeverLatent, sum = 0;  // of head threadIdx.x / lanes; the sum of this thread's tokens

  __device__ Block(const LatentQueryLayout& layout, char* at, int tile_bytes, const Bf16* q)
      : l(layout),
        memory(at, tile_bytes),
        warp(threadIdx.x / 32),
        lane(threadIdx.x % 32),
        pitch(tile_pitch(layout.W)) {
    const int all = l.W / 16, each = (all + kQuarters - 1) / kQuarters;
    first_step = warp % kQuarters * each;
    n_steps = max(0, min(each, all - first_step));
    const int64_t first_head = static_cast<int64_t>(blockIdx.y) * F::heads;
#pragma unroll
    for (int k = 0; k < F::steps; ++k)
#pragma unroll
      for (int h = 0; h < head_tiles; ++h)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int64_t head = first_head + h * 16 + lane / 4 + i % 2 * 8;
          const int at_number = (first_step + k) * 16 + i / 2 * 8 + lane % 4 * 2;
          queries[k][h][i] = 0;
          if (k < n_steps && head < l.N)
            queries[k][h][i] =
                __ldg(reinterpret_cast<const uint32_t*>(q + (blockIdx.z * l.N + head) * l.W + at_number));
        }
#pragma unroll
    for (int h = 0; h < head_tiles; ++h)
#pragma unroll
      for (int n = 0; n < 2 * blocks; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) o[h][n][i] = 0;
  }

  __device__ void score(const Bf16* tile) {
    float s[head_tiles][halves][4] = {};
    const int first = warp / kQuarters * (tokens / 2);
    const Bf16* row = tile + (first + lane % 8 + lane / 16 * 8) * pitch + lane / 8 % 2 * 8 + first_step * 16;
#pragma unroll
    for (int k = 0; k < F::steps; ++k)
      if (k < n_steps)
#pragma unroll
        for (int n = 0; n < halves; n += 2) {
          uint32_t keys[4];
          load_matrices(keys, row + n * 8 * pitch + k * 16);
#pragma unroll
          for (int h = 0; h < head_tiles; ++h) {
            multiply(s[h][n], queries[k][h], keys[0], keys[1]);
            multiply(s[h][n + 1], queries[k][h], keys[2], keys[3]);
          }
        }
    float* out = memory.scores + (warp % kQuarters * F::heads + lane / 4) * F::row + first + lane % 4 * 2;
#pragma unroll
    for (int h = 0; h < head_tiles; ++h)
#pragma unroll
      for (int n = 0; n < halves; ++n)
#pragma unroll
        for (int i = 0; i < 2; ++i)
          *reinterpret_cast<float2*>(out + (h * 16 + i * 8) * F::row + n * 8) =
              make_float2(s[h][n][2 * i], s[h][n][2 * i + 1]);
  }

  __device__ void weigh(const bool* mask, int tile) {
    const int head = threadIdx.x / F::lanes, own = threadIdx.x % F::lanes;
    float x[F::each], highest = maximum;
#pragma unroll
    for (int i = 0; i < F::each; ++i) {
      const int at = own + i * F::lanes;
      const int64_t token = int64_t{tile} * tokens + at;
      const bool there = token < l.S && (!mask || mask[token * l.mask_t]);
      float product = 0;
#pragma unroll
      for (int quarter = 0; quarter < kQuarters; ++quarter)
        product += memory.scores[(quarter * F::heads + head) * F::row + at];
      x[i] = there ? latent_score(l, product) : kNeverLatent;
      highest = fmaxf(highest, x[i]);
    }
#pragma unroll
    for (int step = F::lanes / 2; step > 0; step /= 2)
      highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, step));
    const float shrink = latent_weight(maximum, highest);
    maximum = highest;
    sum *= shrink;
#pragma unroll
    for (int i = 0; i < F::each; ++i) {
      const float weight = latent_weight(x[i], highest);
      sum += weight;
      memory.weights[head * F::row + own + i * F::lanes] = __float2bfloat16_rn(weight);
    }
    if (own == 0) memory.shrink[head] = shrink;
  }

  __device__ void add(const Bf16* tile) {
#pragma unroll
    for (int h = 0; h < head_tiles; ++h) {
      const float shrink[2] = {memory.shrink[h * 16 + lane / 4], memory.shrink[h * 16 + lane / 4 + 8]};
      if (__all_sync(0xffffffffu, shrink[0] == 1 && shrink[1] == 1)) continue;
#pragma unroll
      for (int n = 0; n < 2 * blocks; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) o[h][n][i] *= shrink[i / 2];
    }
    const int first = warp * blocks * 16, in_eight = lane % 8 + lane / 8 % 2 * 8;
#pragma unroll
    for (int k = 0; k < tokens / 16; ++k) {
      uint32_t weights[head_tiles][4];
#pragma unroll
      for (int h = 0; h < head_tiles; ++h)
        load_matrices(weights[h], memory.weights + (h * 16 + in_eight) * F::row + k * 16 + lane / 16 * 8);
#pragma unroll
      for (int n = 0; n < blocks; ++n)
        if (first + n * 16 < l.R) {
          uint32_t values[4];
          load_transposed(values, tile + (k * 16 + in_eight) * pitch + first + n * 16 + lane / 16 * 8);
#pragma unroll
          for (int h = 0; h < head_tiles; ++h) {
            multiply(o[h][2 * n], weights[h], values[0], values[1]);
            multiply(o[h][2 * n + 1], weights[h], values[2], values[3]);
          }
        }
    }
  }

  __device__ void leave(const LatentOut& out) {
    const int head = threadIdx.x / F::lanes;
#pragma unroll
    for (int step = F::lanes / 2; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
    const int64_t first_head = static_cast<int64_t>(blockIdx.y) * F::heads, row = blockIdx.z * l.N + first_head;
    if (threadIdx.x % F::lanes == 0) {
      memory.shrink[head] = sum > 0 ? 1 / sum : 0;
      if (l.parts > 1 && first_head + head < l.N)
        out.partials[(row + head) * l.parts + blockIdx.x] = {maximum, sum};
    }
    __syncthreads();
#pragma unroll
    for (int h = 0; h < head_tiles; ++h)
#pragma unroll
      for (int n = 0; n < 2 * blocks; ++n)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int of = h * 16 + lane / 4 + half * 8, column = warp * blocks * 16 + n * 8 + lane % 4 * 2;
          if (first_head + of >= l.N || column >= l.R) continue;
          const float low = o[h][n][2 * half], high = o[h][n][2 * half + 1], share = memory.shrink[of];
          if (l.parts > 1)
            *reinterpret_cast<float2*>(out.values + ((row + of) * l.parts + blockIdx.x) * l.R + column) =
                make_float2(low, high);
          else
            *reinterpret_cast<__nv_bfloat162*>(out.out + (row + of) * l.R + column) =
                __floats2bfloat162_rn(low * share, high * share);
        }
  }
};

template <int head_tiles, int blocks, int tokens, class Tiles>
__global__ void __launch_bounds__(kLatentThreads)
    look_portable(LatentQueryLayout l, const Bf16* q, Tiles source, const bool* mask, LatentOut out) {
  extern __shared__ __align__(16) char at[];
  Block<head_tiles, blocks, tokens> block(l, at, source.bytes(l, tokens, kStages), q);
  const TokenRange range = visible_tokens(l, mask, blockIdx.z, block.memory.range);
  const TokenRange tiles = tiles_of_part(l, range, tokens);
  const bool* row = mask ? mask + blockIdx.z * l.mask_b : nullptr;
  const auto fetch = [&](int tile) {
    if (tile < tiles.last)
      source.template fetch<tokens>(l, tile, block.memory.tiles, (tile - tiles.first) % kStages);
    copies_commit();
  };
#pragma unroll
  for (int i = 0; i < kStages - 1; ++i) fetch(tiles.first + i);
  for (int tile = tiles.first; tile < tiles.last; ++tile) {
    copies_wait<kStages - 2>();
    __syncthreads();
    fetch(tile + kStages - 1);  // over the tile that all have left
    const Bf16* here = source.template ready<tokens>(l, block.memory.tiles, (tile - tiles.first) % kStages);
    block.score(here);
    __syncthreads();
    block.weigh(row, tile);
    __syncthreads();
    block.add(here);
  }
  copies_wait<0>();
  __syncthreads();
  block.leave(out);
}

template <int head_tiles, int blocks, int tokens, class Tiles>
cudaError_t launch(const LatentQueryLayout& l, const Tiles& source, const LatentPointers& in,
                   const LatentOut& out, cudaStream_t stream) {
  using F = Form<head_tiles, blocks, tokens>;
  const auto kernel = look_portable<head_tiles, blocks, tokens, Tiles>;
  const int bytes = source.bytes(l, tokens, kStages) + F::bytes;
  if (const auto error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
      error != cudaSuccess)
    return error;
  const dim3 grid(static_cast<unsigned>(l.parts), static_cast<unsigned>((l.N + F::heads - 1) / F::heads),
                  static_cast<unsigned>(l.B));
  kernel<<<grid, kLatentThreads, bytes, stream>>>(l, static_cast<const Bf16*>(in.q), source, in.mask, out);
  return cudaGetLastError();
}

// Tiles of 64 tokens where the device has the shared memory, of 32 where it has not.
template <int head_tiles, int blocks, class Tiles, class... Arguments>
cudaError_t launch_tokens(const LatentQueryLayout& l, const Tiles& source, int shared_bytes,
                          const Arguments&... arguments) {
  if (source.bytes(l, 64, kStages) + Form<head_tiles, blocks, 64>::bytes <= shared_bytes)
    return launch<head_tiles, blocks, 64>(l, source, arguments...);
  return launch<head_tiles, blocks, 32>(l, source, arguments...);
}

template <int head_tiles, class Tiles>
cudaError_t launch_blocks(const LatentQueryLayout& l, const Tiles& source, const CudaDevice& device,
                          const LatentPointers& in, const LatentOut& out, cudaStream_t stream) {
  const int blocks = (l.R + 127) / 128, bytes = device.shared_bytes;
  if (blocks == 1) return launch_tokens<head_tiles, 1>(l, source, bytes, in, out, stream);
  if (blocks == 2) return launch_tokens<head_tiles, 2>(l, source, bytes, in, out, stream);
  if (blocks == 3) return launch_tokens<head_tiles, 3>(l, source, bytes, in, out, stream);
  return launch_tokens<head_tiles, 4>(l, source, bytes, in, out, stream);
}

template <class Tiles>
cudaError_t launch_portable(const LatentQueryLayout& l, const Tiles& source, const CudaDevice& device,
                            const LatentPointers& in, const LatentOut& out, cudaStream_t stream) {
  return l.N <= 16 ? launch_blocks<1>(l, source, device, in, out, stream)
                   : launch_blocks<2>(l, source, device, in, out, stream);
}

// Of the widest block, with tiles of 32 tokens.
template <class Tiles>
bool has_memory(const LatentQueryLayout& l, const Tiles& source, const CudaDevice& device) {
  return source.bytes(l, 32, kStages) + Form<2, 4, 32>::bytes <= device.shared_bytes;
}

}  // namespace
}  // namespace attnlab::cuda
