// What the parts of a sequence's tokens give for a query head, and the kernel that puts them together. Its
// source can be compiled for CPUs, too.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "kernels/vectors.cuh"

namespace attnlab::cuda {

using Bf16 = __nv_bfloat16;

constexpr float kNeverLatent = -INFINITY;

// Maxima are of scores in powers of two.
struct LatentPartial {
  float maximum, sum;
};

struct LatentOut {
  LatentPartial* partials;  // [B, N, parts]
  float* values;            // [B, N, parts, R], weighted sums
  Bf16* out;                // [B, N, R]
};

__device__ inline float latent_weight(float score, float maximum) {
  return maximum == kNeverLatent ? 0.0f : exp2f(score - maximum);
}

namespace latent_join {

constexpr int kThreads = 128, kWarp = 32;
constexpr int kPack = 4;    // numbers in one access
constexpr int kLoads = 8;   // accesses of a thread that are under way at once
constexpr int kGroups = 8;  // of a block's threads, at most
constexpr int kMost = 256;  // parts of a sequence

// A block takes some columns of a query head. Groups of its threads take every so-many-th part of up to `most`,
// mostly in one go: all that is read is asked for before anything is waited for.
template <int most>
struct Sizes {
  static constexpr int groups = most / kLoads < kGroups ? most / kLoads : kGroups, columns = kThreads / groups,
                       turns = most / (groups * kLoads),
                       of_lane = (most + kWarp - 1) / kWarp;  // parts whose maxima and sums a lane reads
  static unsigned blocks_of_row(int R) { return (R / kPack + columns - 1) / columns; }
};

// action(most) as a constant.
template <class Action>
void with_most(int parts, const Action& action) {
  if (parts <= 8) return action(std::integral_constant<int, 8>{});
  if (parts <= 16) return action(std::integral_constant<int, 16>{});
  if (parts <= 32) return action(std::integral_constant<int, 32>{});
  if (parts <= 64) return action(std::integral_constant<int, 64>{});
  action(std::integral_constant<int, kMost>{});
}

// What each of a lane's parts counts for, 0 where nothing may have been written. Every warp looks at all parts,
// so that none waits for another.
template <int of_lane>
__device__ inline void weigh(const float (&maximum)[of_lane], const float (&sum)[of_lane],
                             float (&share)[of_lane]) {
  float highest = kNeverLatent, total = 0;
#pragma unroll
  for (int i = 0; i < of_lane; ++i) highest = fmaxf(highest, maximum[i]);
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2)
    highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, step));
#pragma unroll
  for (int i = 0; i < of_lane; ++i) {
    share[i] = latent_weight(maximum[i], highest);
    total += share[i] * sum[i];
  }
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) total += __shfl_xor_sync(0xffffffffu, total, step);
#pragma unroll
  for (int i = 0; i < of_lane; ++i) share[i] = total > 0 ? share[i] / total : 0;
}

// Every `groups`-th part from `first` on; behind the last one the last, which then counts for nothing.
template <int groups>
__device__ inline void read_parts(const float* values, int first, int parts, int R, float (&x)[kLoads][kPack]) {
#pragma unroll
  for (int i = 0; i < kLoads; ++i) {
    const int p = first + groups * i;
    read(values + (p < parts ? p : parts - 1) * R, x[i]);
  }
}

// Block (x: query head of a sequence, y: columns).
template <int most>
__global__ void __launch_bounds__(kThreads) put_together(int parts, int R, LatentOut in) {
  constexpr int groups = Sizes<most>::groups, columns = Sizes<most>::columns, of_lane = Sizes<most>::of_lane;
  __shared__ float shares[of_lane * kWarp];
  __shared__ Pack<float, kPack> of_group[groups][columns];
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp, group = thread / columns;
  const int column = (static_cast<int>(blockIdx.y) * columns + thread % columns) * kPack;
  const int64_t row = blockIdx.x, first_part = row * parts;
  const float* values = in.values + first_part * R + (column < R ? column : 0);
  const float* partials = reinterpret_cast<const float*>(in.partials + first_part);
  float x[kLoads][kPack], maximum[of_lane], total[of_lane], share[of_lane], sum[kPack] = {};
  read_parts<groups>(values, group, parts, R, x);
  __syncthreads();  // keeps a compiler from moving reads behind the look at maxima, which waits for memory
#pragma unroll
  for (int i = 0; i < of_lane; ++i) {
    const int p = lane + kWarp * i;
    float both[2];
    read(partials + 2 * (p < parts ? p : 0), both);
    maximum[i] = p < parts ? both[0] : kNeverLatent, total[i] = both[1];
  }
  weigh(maximum, total, share);
  if (thread < kWarp)
#pragma unroll
    for (int i = 0; i < of_lane; ++i) shares[lane + kWarp * i] = share[i];
  __syncthreads();
#pragma unroll 1
  for (int turn = 0; turn < Sizes<most>::turns; ++turn) {
    const int first = group + turn * groups * kLoads;
    if (turn > 0) read_parts<groups>(values, first, parts, R, x);
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const float weight = shares[first + groups * i];
#pragma unroll
      for (int j = 0; j < kPack; ++j)
        if (weight != 0) sum[j] += x[i][j] * weight;
    }
  }
  if (groups > 1) {
#pragma unroll
    for (int j = 0; j < kPack; ++j) of_group[group][thread % columns].values[j] = sum[j];
    __syncthreads();
    if (group > 0) return;
#pragma unroll
    for (int other = 1; other < groups; ++other)
#pragma unroll
      for (int j = 0; j < kPack; ++j) sum[j] += of_group[other][thread].values[j];
  }
  if (column < R) write(in.out + row * R + column, sum);
}

}  // namespace latent_join
}  // namespace attnlab::cuda
