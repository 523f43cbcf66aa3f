// The threads of a block that multiply, in Hopper's kernels of latent_query.
#pragma once

#include <cmath>
#include <type_traits>

#include "kernels/hopper/instructions.cuh"
#include "kernels/latent_query.cuh"

// Hopper's path of latent_query (sm_90a). A block takes up to 32 heads of one sequence over a part of its
// tokens. Operands are swapped: 64 tokens of the cache are the rows of a product and heads its columns,
//   Sᵀ [64, heads] = K [64, W] Qᵀ,   Oᵀ [R, heads] += Vᵀ [R, 64] Pᵀ,
// so that few heads leave no row of the matrix unit idle, and K and V are the same bytes in shared memory, read
// from device memory once. Two groups of 128 threads take every other tile, each with a softmax and sums of its
// own; others of the block bring the tiles, 64 columns at a time: as soon as those of a tile have been used,
// those of the group's next tile may come.
namespace attnlab::cuda {
namespace {

using namespace hopper;

constexpr int kTile = kLatentTile, kBlock = 64;  // tokens, and columns, of what the copy engine brings at once
constexpr int kRowBytes = 2 * kBlock;            // a row of it: as wide as the swizzle
constexpr int kBlockBytes = kTile * kRowBytes;
constexpr int kGroups = 2, kGroupThreads = 128;
// Sums of scores that take turns, so that one product need not wait for the last; blocks whose columns are
// summed, and then fetched anew, together.
constexpr int kChains = 2, kTogether = 4;

__device__ inline void group_barrier(int group) {
  asm volatile("bar.sync %0, %1;" ::"r"(1 + group), "n"(kGroupThreads) : "memory");
}
__device__ inline void all_groups_barrier() {
  asm volatile("bar.sync %0, %1;" ::"n"(1 + kGroups), "n"(kGroups * kGroupThreads) : "memory");
}

// Shared memory. `blocks` of 64 columns hold the values, one more the rest of the keys; what lies behind the
// last number of a token is zeros.
template <int heads, int blocks>
struct Shared {
  static constexpr int all = blocks + 1;
  static constexpr int head_bytes = heads * kRowBytes;
  static constexpr int tiles = 0, queries = tiles + kGroups * all * kBlockBytes,
                       weights = queries + all * head_bytes, full = weights + kGroups * head_bytes,
                       free = full + kGroups * all * 8, ends = free + kGroups * all * 8,
                       range = ends + kGroups * 4 * heads * 4 * 2, bytes = range + 16;
};

// Queries of the block's heads, zeros where there are no more heads. number(c, i): which of a query's W meets
// column i of block c; W or more: none. All loads are under way before the first is used.
template <int heads, int blocks, class Number>
__device__ inline void load_queries(const LatentQueryLayout& l, const Bf16* q, char* queries,
                                    const Number& number) {
  constexpr int all = (blocks + 1) * heads * 8, threads = kGroups * kGroupThreads;  // of 8 numbers
  constexpr int each = (all + threads - 1) / threads;
  const Bf16* first = q + (blockIdx.z * l.N + static_cast<int64_t>(blockIdx.y) * heads) * l.W;
  const int left = static_cast<int>(l.N) - static_cast<int>(blockIdx.y) * heads;
  uint4 packs[each];
#pragma unroll
  for (int n = 0; n < each; ++n) {
    const int i = threadIdx.x + n * threads, pack = i % 8, head = i / 8 % heads, c = i / 8 / heads;
    const int at = number(c, pack * 8);
    packs[n] = {};
    if (i < all && head < left && at < l.W)
      packs[n] = __ldg(reinterpret_cast<const uint4*>(first + head * l.W + at));
  }
#pragma unroll
  for (int n = 0; n < each; ++n) {
    const int i = threadIdx.x + n * threads, pack = i % 8, head = i / 8 % heads, c = i / 8 / heads;
    if (i < all)
      *reinterpret_cast<uint4*>(queries + (c * heads + head) * kRowBytes + ((pack ^ (head & 7)) << 4)) =
          packs[n];
  }
}

// Pairs of neighbouring heads in the matrix unit's layout → [head][token], as the second product wants them.
template <int heads>
__device__ inline void store_weights(uint32_t weights, const uint32_t (&pairs)[heads / 4], int warp, int lane) {
  const int matrix = lane / 8, row = lane % 8, chunk = warp * 2 + matrix % 2;
  const uint32_t own = weights + row * kRowBytes + ((chunk ^ row) << 4) + matrix / 2 * 8 * kRowBytes;
  if constexpr (heads == 8) {
    asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1,%2};" ::"r"(own), "r"(pairs[0]),
                 "r"(pairs[1])
                 : "memory");
  } else {
#pragma unroll
    for (int j = 0; j < heads / 4; j += 4)
      asm volatile(
          "stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(own + j * 4 * kRowBytes),
          "r"(pairs[j]), "r"(pairs[j + 1]), "r"(pairs[j + 2]), "r"(pairs[j + 3])
          : "memory");
  }
}

// A thread holds of Sᵀ and Oᵀ the rows g and g + 8 of its warp's 16, and the heads 8 j + 2 t + {0, 1}.
template <int heads, int blocks>
struct Group {
  static constexpr int own = heads / 4;  // heads of a thread
  float o[blocks][2 * own];
  float maximum[own], sum[own];
  int group, warp, lane;
  uint32_t shared;
  float* ends;  // [4, heads]

  __device__ static int head_of(int lane, int i) { return i / 2 * 8 + lane % 4 * 2 + i % 2; }

  __device__ void begin(int warp_of_block, int own_lane, char* memory) {
    group = warp_of_block / 4, warp = warp_of_block % 4, lane = own_lane, shared = shared_address(memory);
    ends = reinterpret_cast<float*>(memory + Shared<heads, blocks>::ends) + group * 4 * heads;
#pragma unroll
    for (int c = 0; c < blocks; ++c)
#pragma unroll
      for (int i = 0; i < 2 * own; ++i) o[c][i] = 0;
#pragma unroll
    for (int i = 0; i < own; ++i) maximum[i] = kNeverLatent, sum[i] = 0;
  }

  // Scores of a tile, in powers of two, and the group's highest of each head.
  __device__ void scale_scores(const LatentQueryLayout& l, const bool (&there)[2], float (&s)[2 * own],
                               float (&highest)[own]) {
#pragma unroll
    for (int i = 0; i < own; ++i) {
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        float& score = s[i / 2 * 4 + row * 2 + i % 2];
        score = there[row] ? latent_score(l, score) : kNeverLatent;
      }
      float most = fmaxf(s[i / 2 * 4 + i % 2], s[i / 2 * 4 + 2 + i % 2]);
#pragma unroll
      for (int step = 4; step < 32; step *= 2) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, step));
      if (lane < 4) ends[warp * heads + head_of(lane, i)] = most;
    }
    group_barrier(group);
#pragma unroll
    for (int i = 0; i < own; ++i) {
      const int head = head_of(lane, i);
      highest[i] =
          fmaxf(fmaxf(ends[head], ends[heads + head]), fmaxf(ends[2 * heads + head], ends[3 * heads + head]));
      highest[i] = fmaxf(highest[i], maximum[i]);
    }
  }

  // Weights of a tile go to shared memory; what was summed shrinks to the new maximum.
  __device__ void weigh(const float (&s)[2 * own], const float (&highest)[own]) {
    uint32_t pairs[own];
    float shrink[own];
    bool changed = false;
#pragma unroll
    for (int i = 0; i < own; ++i) {
      shrink[i] = latent_weight(maximum[i], highest[i]);
      changed |= shrink[i] != 1.0f;
      maximum[i] = highest[i];
    }
#pragma unroll
    for (int i = 0; i < own; i += 2)
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        const float low = latent_weight(s[2 * i + 2 * row], highest[i]),
                    high = latent_weight(s[2 * i + 2 * row + 1], highest[i + 1]);
        sum[i] = sum[i] * (row == 0 ? shrink[i] : 1.0f) + low;
        sum[i + 1] = sum[i + 1] * (row == 0 ? shrink[i + 1] : 1.0f) + high;
        const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
        pairs[i + row] = *reinterpret_cast<const uint32_t*>(&both);
      }
    store_weights<heads>(shared + Shared<heads, blocks>::weights + group * Shared<heads, blocks>::head_bytes,
                         pairs, warp, lane);
    show_to_matrix_unit();
    if (!changed) return;
#pragma unroll
    for (int c = 0; c < blocks; ++c)
#pragma unroll
      for (int i = 0; i < own; ++i) {
        o[c][i / 2 * 4 + i % 2] *= shrink[i];
        o[c][i / 2 * 4 + 2 + i % 2] *= shrink[i];
      }
  }

  __device__ void take(const LatentQueryLayout& l, const bool* mask, int tile, int turn) {
    using At = Shared<heads, blocks>;
    const uint32_t tiles = shared + At::tiles + group * At::all * kBlockBytes;
    const uint32_t weights = shared + At::weights + group * At::head_bytes;
    const uint32_t full = shared + At::full + group * At::all * 8,
                   free = shared + At::free + group * At::all * 8;
    float s[2 * own], chains[kChains][2 * own], highest[own];
    bool there[2];
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const int64_t token = int64_t{tile} * kTile + warp * 16 + row * 8 + lane / 4;
      there[row] = token < l.S && (!mask || mask[token * l.mask_t]);
    }
#pragma unroll
    for (int i = 0; i <= blocks; ++i) {
      const int c = i == 0 ? blocks : i - 1;
      wait(full + 8 * c, turn & 1);
      products_begin();
#pragma unroll
      for (int k = 0; k < 4; ++k)
        multiply<0>(chains[k % kChains], operand(tiles + c * kBlockBytes + 32 * k),
                    operand(shared + At::queries + c * At::head_bytes + 32 * k), i > 0 || k >= kChains);
    }
    products_commit();
    products_wait<0>();
#pragma unroll
    for (int i = 0; i < 2 * own; ++i) {
      s[i] = chains[0][i];
#pragma unroll
      for (int chain = 1; chain < kChains; ++chain) s[i] += chains[chain][i];
    }
    arrive_if(lane == 0, free + 8 * blocks);
    scale_scores(l, there, s, highest);
    weigh(s, highest);
    group_barrier(group);
    products_begin();
#pragma unroll
    for (int first = 0; first < blocks; first += kTogether) {
#pragma unroll
      for (int k = 0; k < 4; ++k)
#pragma unroll
        for (int c = first; c < first + kTogether && c < blocks; ++c)
          multiply<1>(o[c], operand(tiles + c * kBlockBytes + 2048 * k), operand(weights + 32 * k), 1);
      products_commit();
    }
#pragma unroll
    for (int first = 0; first < blocks; first += kTogether) {
      products_wait_all_but((blocks - 1 - first) / kTogether);
#pragma unroll
      for (int c = first; c < first + kTogether && c < blocks; ++c) arrive_if(lane == 0, free + 8 * c);
    }
  }

  // The sums of a head over the tokens, in all threads that hold it.
  __device__ void add_sums() {
#pragma unroll
    for (int i = 0; i < own; ++i) {
#pragma unroll
      for (int step = 4; step < 32; step *= 2) sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], step);
      if (lane < 4) ends[warp * heads + head_of(lane, i)] = sum[i];
    }
    group_barrier(group);
#pragma unroll
    for (int i = 0; i < own; ++i) {
      const int head = head_of(lane, i);
      sum[i] = ends[head] + ends[heads + head] + ends[2 * heads + head] + ends[3 * heads + head];
    }
  }

  // Half of the columns of both groups come together in each: `mine` are those that this one writes.
  __device__ void join(char* memory) {
    using At = Shared<heads, blocks>;
    const int thread = threadIdx.x % kGroupThreads;
    float* there = reinterpret_cast<float*>(memory + At::tiles + group * At::all * kBlockBytes);
    const float* other =
        reinterpret_cast<const float*>(memory + At::tiles + (1 - group) * At::all * kBlockBytes);
    float* limits = reinterpret_cast<float*>(memory + At::queries);  // [groups, 2, own, 128]
    all_groups_barrier();
#pragma unroll
    for (int c = 0; c < blocks; ++c)
      if ((c < (blocks + 1) / 2) == (group == 1))
#pragma unroll
        for (int i = 0; i < 2 * own; ++i) there[(c * 2 * own + i) * kGroupThreads + thread] = o[c][i];
#pragma unroll
    for (int i = 0; i < own; ++i) {
      limits[(group * 2 * own + i) * kGroupThreads + thread] = maximum[i];
      limits[(group * 2 * own + own + i) * kGroupThreads + thread] = sum[i];
    }
    all_groups_barrier();
    float mine[own], others[own];
#pragma unroll
    for (int i = 0; i < own; ++i) {
      const float second = limits[((1 - group) * 2 * own + i) * kGroupThreads + thread];
      const float most = fmaxf(maximum[i], second);
      mine[i] = latent_weight(maximum[i], most), others[i] = latent_weight(second, most);
      maximum[i] = most;
      sum[i] =
          sum[i] * mine[i] + limits[((1 - group) * 2 * own + own + i) * kGroupThreads + thread] * others[i];
    }
#pragma unroll
    for (int c = 0; c < blocks; ++c)
      if ((c < (blocks + 1) / 2) == (group == 0))
#pragma unroll
        for (int i = 0; i < 2 * own; ++i) {
          const int head = i / 4 * 2 + i % 2;
          o[c][i] = o[c][i] * mine[head] + other[(c * 2 * own + i) * kGroupThreads + thread] * others[head];
        }
  }

  // By way of shared memory, so that what neighbours write lies side by side.
  __device__ void leave(const LatentQueryLayout& l, const LatentOut& out, char* memory) {
    constexpr int pitch = blocks * kBlock + 4;  // no two lanes of a warp in one bank
    float* rows = reinterpret_cast<float*>(memory + Shared<heads, blocks>::tiles);
    all_groups_barrier();
#pragma unroll
    for (int i = 0; i < own; ++i) {
      const float share = l.parts > 1 ? 1.0f : sum[i] > 0 ? 1 / sum[i] : 0.0f;
      float* to = rows + head_of(lane, i) * pitch + warp * 16 + lane / 4;
#pragma unroll
      for (int c = 0; c < blocks; ++c)
        if ((c < (blocks + 1) / 2) == (group == 0))
#pragma unroll
          for (int half = 0; half < 2; ++half)
            to[c * kBlock + half * 8] = o[c][i / 2 * 4 + half * 2 + i % 2] * share;
    }
    all_groups_barrier();
    const int64_t first = static_cast<int64_t>(blockIdx.y) * heads, row = blockIdx.z * l.N + first;
    const int packs = l.R / 4, n = static_cast<int>(l.N - first < heads ? l.N - first : heads);
    for (int i = threadIdx.x; i < n * packs; i += kGroups * kGroupThreads) {
      const int head = i / packs, column = i % packs * 4;
      const float4 x = *reinterpret_cast<const float4*>(rows + head * pitch + column);
      if (l.parts > 1) {
        *reinterpret_cast<float4*>(out.values + ((row + head) * l.parts + blockIdx.x) * l.R + column) = x;
      } else {
        const __nv_bfloat162 pairs[2] = {__floats2bfloat162_rn(x.x, x.y), __floats2bfloat162_rn(x.z, x.w)};
        *reinterpret_cast<uint2*>(out.out + (row + head) * l.R + column) =
            *reinterpret_cast<const uint2*>(pairs);
      }
    }
    if (l.parts > 1 && group == 0 && warp == 0 && lane < 4)
#pragma unroll
      for (int i = 0; i < own; ++i)
        if (head_of(lane, i) < n)
          out.partials[(row + head_of(lane, i)) * l.parts + blockIdx.x] = {maximum[i], sum[i]};
  }
};

// All that the threads of a group do. number: as in load_queries.
template <int heads, int blocks, class Number>
__device__ inline void look_at_tiles(const LatentQueryLayout& l, const Bf16* q, const bool* mask,
                                     const TokenRange& tiles, char* memory, const LatentOut& out,
                                     const Number& number) {
  load_queries<heads, blocks>(l, q, memory + Shared<heads, blocks>::queries, number);
  show_to_matrix_unit();
  all_groups_barrier();
  Group<heads, blocks> own;
  own.begin(threadIdx.x / 32, threadIdx.x % 32, memory);
  const bool* row = mask ? mask + blockIdx.z * l.mask_b : nullptr;
  int turn = 0;
  for (int tile = tiles.first + own.group; tile < tiles.last; tile += kGroups, ++turn)
    own.take(l, row, tile, turn);
  own.add_sums();
  own.join(memory);
  own.leave(l, out, memory);
}

template <int n>
using Constant = std::integral_constant<int, n>;

// action(heads, blocks) as constants, for one block of threads: as many heads as it has, up to 32, and columns.
template <class Action>
cudaError_t with_sizes(const LatentQueryLayout& l, const Action& action) {
  const auto with_blocks = [&](auto heads) {
    const int blocks = (l.R + kBlock - 1) / kBlock;
    if (blocks <= 2) return action(heads, Constant<2>{});
    if (blocks <= 4) return action(heads, Constant<4>{});
    if (blocks <= 6) return action(heads, Constant<6>{});
    return action(heads, Constant<8>{});
  };
  if (l.N <= 8) return with_blocks(Constant<8>{});
  if (l.N <= 16) return with_blocks(Constant<16>{});
  return with_blocks(Constant<32>{});
}

// Starts a kernel whose blocks take `heads` heads of a sequence and one of its parts.
template <class Kernel, class... Arguments>
cudaError_t start(Kernel* kernel, const LatentQueryLayout& l, int heads, int threads, int bytes,
                  cudaStream_t stream, const Arguments&... arguments) {
  if (const auto error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
      error != cudaSuccess)
    return error;
  const dim3 grid(static_cast<unsigned>(l.parts), static_cast<unsigned>((l.N + heads - 1) / heads),
                  static_cast<unsigned>(l.B));
  kernel<<<grid, threads, bytes, stream>>>(arguments...);
  return cudaGetLastError();
}

}  // namespace
}  // namespace attnlab::cuda
