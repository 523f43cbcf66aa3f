#include <cmath>

#include "kernels/latent_query.cuh"

// Softmax attention of one query per head over a latent that all heads share (MLA's absorbed form, arXiv
// 2405.04434), the tokens split over blocks as in single_query.cu. This path is for matrix units from compute
// capability 8.0 on; hopper/latent_query.cu has one of its own. A tile of tokens is copied to shared memory
// once and read for both products:
//   scores   S [heads, tokens] = Q Kᵀ: a warp takes a quarter of the W numbers (its queries stay in registers)
//            and half of the tokens; the quarters are added in shared memory
//   sums     O [heads, R] += P V: a warp takes an eighth of the columns
namespace attnlab::cuda {
namespace {

constexpr int kMostParts = 256;  // of a sequence
constexpr int kWarps = 8, kThreads = 32 * kWarps, kQuarters = 4, kStages = 2;

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

// head_tiles: of 16 heads; blocks: of 16 columns that a warp sums; tokens of a tile; tiles in shared memory.
template <int head_tiles, int blocks, int tokens, int stages>
struct Form {
  static constexpr int heads = 16 * head_tiles,
                       steps = 2 * blocks + 1;  // of 16 numbers, of a quarter of the keys
  static constexpr int row = tokens + 8;        // of scores and weights
  static constexpr int lanes = kThreads / heads, each = tokens / lanes;  // threads of a head in softmax
  __host__ __device__ static int pitch(int W) { return W + 8; }          // an odd number of 16 bytes
  __host__ __device__ static int bytes(int W) {
    return stages * tokens * pitch(W) * 2 + kQuarters * heads * row * 4 + heads * row * 2 + heads * 4 * 2 + 16;
  }
};

template <class F, int tokens, int stages>
struct Memory {
  Bf16* tiles;
  float* scores;  // [quarters, heads, row]
  Bf16* weights;  // [heads, row]
  float* shrink;  // [heads]
  TokenRange* range;
  __device__ Memory(char* at, int W) {
    tiles = reinterpret_cast<Bf16*>(at), at += stages * tokens * F::pitch(W) * 2;
    scores = reinterpret_cast<float*>(at), at += kQuarters * F::heads * F::row * 4;
    weights = reinterpret_cast<Bf16*>(at), at += F::heads * F::row * 2;
    shrink = reinterpret_cast<float*>(at), at += F::heads * 4;
    range = reinterpret_cast<TokenRange*>(at);
  }
};

// A warp copies every eighth token; zeros behind the last.
template <int tokens>
__device__ inline void fetch_tile(const LatentQueryLayout& l, const Bf16* latent, const int* pages, int tile,
                                  Bf16* to, int pitch) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, packs = l.W / 8;
  const int first = tile * tokens;
  const Bf16* from = latent + blockIdx.z * l.latent_b + first * l.latent_t;
  if (pages) {
    const int64_t row = blockIdx.z * ((l.S + kLatentTile - 1) / kLatentTile);
    from = latent + pages[row + first / kLatentTile] * l.latent_b + first % kLatentTile * l.latent_t;
  }
#pragma unroll
  for (int t = 0; t < tokens / kWarps; ++t) {
    const int token = warp + t * kWarps;
    const bool there = first + token < l.S;
    for (int p = lane; p < packs; p += 32)
      copy_16(to + token * pitch + p * 8, there ? from + token * l.latent_t + p * 8 : latent, there);
  }
}

template <int head_tiles, int blocks, int tokens, int stages>
struct Block {
  using F = Form<head_tiles, blocks, tokens, stages>;
  static constexpr int halves = tokens / 16;  // tiles of 8 tokens that a warp scores
  const LatentQueryLayout& l;
  Memory<F, tokens, stages> memory;
  int warp, lane, pitch, first_step, n_steps;
  uint32_t queries[F::steps][head_tiles][4];
  float o[head_tiles][2 * blocks][4];
  float maximum = kNeverLatent, sum = 0;  // of head threadIdx.x / lanes; the sum of this thread's tokens

  __device__ Block(const LatentQueryLayout& layout, char* at, const Bf16* q)
      : l(layout),
        memory(at, layout.W),
        warp(threadIdx.x / 32),
        lane(threadIdx.x % 32),
        pitch(F::pitch(layout.W)) {
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

template <int head_tiles, int blocks, int tokens, int stages>
__global__ void __launch_bounds__(kThreads)
    look_portable(LatentQueryLayout l, const Bf16* q, const Bf16* latent, const bool* mask, const int* pages,
                  LatentOut out) {
  extern __shared__ __align__(16) char at[];
  using B = Block<head_tiles, blocks, tokens, stages>;
  B block(l, at, q);
  const TokenRange range = visible_tokens(l, mask, blockIdx.z, block.memory.range);
  const TokenRange tiles = tiles_of_part(l, range, tokens);
  const bool* row = mask ? mask + blockIdx.z * l.mask_b : nullptr;
  const auto fetch = [&](int tile) {
    if (tile < tiles.last)
      fetch_tile<tokens>(l, latent, pages, tile,
                         block.memory.tiles + (tile - tiles.first) % stages * tokens * block.pitch,
                         block.pitch);
    copies_commit();
  };
#pragma unroll
  for (int i = 0; i < stages - 1; ++i) fetch(tiles.first + i);
  for (int tile = tiles.first; tile < tiles.last; ++tile) {
    const Bf16* here = block.memory.tiles + (tile - tiles.first) % stages * tokens * block.pitch;
    copies_wait<stages - 2>();
    __syncthreads();
    fetch(tile + stages - 1);  // over the tile that all have left
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

template <int head_tiles, int blocks, int tokens>
cudaError_t launch(const LatentQueryLayout& l, const LatentPointers& in, const LatentOut& out,
                   cudaStream_t stream) {
  using F = Form<head_tiles, blocks, tokens, kStages>;
  const auto kernel = look_portable<head_tiles, blocks, tokens, kStages>;
  const int bytes = F::bytes(l.W);
  if (const auto error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
      error != cudaSuccess)
    return error;
  const dim3 grid(static_cast<unsigned>(l.parts), static_cast<unsigned>((l.N + F::heads - 1) / F::heads),
                  static_cast<unsigned>(l.B));
  kernel<<<grid, kThreads, bytes, stream>>>(l, static_cast<const Bf16*>(in.q),
                                            static_cast<const Bf16*>(in.latent), in.mask, in.pages, out);
  return cudaGetLastError();
}

// Tiles of 64 tokens where the device has the shared memory, of 32 where it has not.
template <int head_tiles, int blocks, class... Arguments>
cudaError_t launch_tokens(const LatentQueryLayout& l, int shared_bytes, Arguments... arguments) {
  if (Form<head_tiles, blocks, 64, kStages>::bytes(l.W) <= shared_bytes)
    return launch<head_tiles, blocks, 64>(l, arguments...);
  return launch<head_tiles, blocks, 32>(l, arguments...);
}

template <int head_tiles>
cudaError_t launch_blocks(const LatentQueryLayout& l, const CudaDevice& device, const LatentPointers& in,
                          const LatentOut& out, cudaStream_t stream) {
  const int blocks = (l.R + 127) / 128, bytes = device.shared_bytes;
  if (blocks == 1) return launch_tokens<head_tiles, 1>(l, bytes, in, out, stream);
  if (blocks == 2) return launch_tokens<head_tiles, 2>(l, bytes, in, out, stream);
  if (blocks == 3) return launch_tokens<head_tiles, 3>(l, bytes, in, out, stream);
  return launch_tokens<head_tiles, 4>(l, bytes, in, out, stream);
}

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

bool fits_latent_query(const LatentQueryLayout& l, const CudaDevice& device) {
  constexpr int step = 16, widest = 512, block = 128, rest = 64, pack = 8;
  return device.capability >= 80 && device.shared_bytes >= Form<2, 4, 32, kStages>::bytes(widest + rest) &&
         l.R > 0 && l.R <= widest && l.R % step == 0 && l.W % step == 0 && l.W >= l.R &&
         l.W <= (l.R + block - 1) / block * block + rest && l.latent_b % pack == 0 && l.latent_t % pack == 0;
}

// Blocks run in rounds of as many as there are multiprocessors. Beside its tiles a block begins and ends, which
// takes as long as reading some 220 KB, and with others of its sequence leaves numbers that are read again.
int latent_query_parts(int64_t B, int64_t N, int64_t S, int64_t W, const CudaDevice& device) {
  constexpr int64_t begin_and_end = 220'000, left = 220'000;
  const int64_t rows = B * ((N + 31) / 32), tiles = (S + kLatentTile - 1) / kLatentTile;
  const int64_t half = (tiles + 1) / 2, most = half < kMostParts ? half : kMostParts;
  int64_t best = 1, least = 0;
  for (int64_t parts = 1; parts <= most; ++parts) {
    const int64_t rounds = (rows * parts + device.multiprocessors - 1) / device.multiprocessors;
    const int64_t bytes = (tiles + parts - 1) / parts * kLatentTile * W * 2;
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
  if (!fits_latent_query(l, device) || l.parts > kMostParts) return cudaErrorInvalidValue;
  const int64_t rows = l.B * l.N;
  const LatentOut place{reinterpret_cast<LatentPartial*>(workspace + rows * l.parts * l.R),
                        l.parts > 1 ? workspace : nullptr, static_cast<Bf16*>(out)};
#ifdef ATTNLAB_HOPPER
  if (device.capability == 90) {
    const auto error = latent_query_hopper(l, in, place, stream);
    return error != cudaSuccess || l.parts == 1 ? error : join_latent_parts(l, place, stream);
  }
#endif
  const auto error = l.N <= 16 ? launch_blocks<1>(l, device, in, place, stream)
                               : launch_blocks<2>(l, device, in, place, stream);
  return error != cudaSuccess || l.parts == 1 ? error : join_latent_parts(l, place, stream);
}

}  // namespace attnlab::cuda
