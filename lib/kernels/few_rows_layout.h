// How the blocks of few_rows.h's kernel share a matrix. Without CUDA, so that a CPU can walk it.
#pragma once

#include <cstdint>

namespace attnlab::cuda {

#ifdef __CUDACC__
#define ATTNLAB_SHARED_WORK __host__ __device__ inline
#else
#define ATTNLAB_SHARED_WORK inline
#endif

namespace few_rows {

constexpr int kWarps = 16, kLanes = 32, kThreads = kWarps * kLanes;
constexpr int kPiece = 32;     // inputs of a warp's step
constexpr int kTile = 16;      // outputs of a product on tensor cores
constexpr int kMostTiles = 4;  // that a warp's step takes
constexpr int kColumns = 8;    // rows of x of a product on tensor cores
constexpr int kMostRows = 16;

// Numbers of 16 bytes, in pairs.
struct alignas(16) Eight {
  uint32_t pair[4];
};

struct Range {
  int begin, end;
  ATTNLAB_SHARED_WORK int size() const { return end - begin; }
};

// Shares of a whole that differ by one at most: the first `longer` of them have one more.
struct Shares {
  int least, longer;
  ATTNLAB_SHARED_WORK Range of(int i) const {
    const int begin = i * least + (i < longer ? i : longer);
    return {begin, begin + least + (i < longer ? 1 : 0)};
  }
};
inline Shares shares_of(int total, int parts) { return {total / parts, total % parts}; }

inline int whole_parts(int total, int part) { return (total + part - 1) / part; }

}  // namespace few_rows

// y [M, N] = x [M, K] Wᵀ (+ bias). Strides of rows in numbers; numbers of a row lie side by side. Each of
// `groups` blocks has a share of the outputs.
struct FewRowsLayout {
  int M, N, K;
  int64_t x_row, w_row, y_row;
  int groups;
  few_rows::Shares outputs;  // of a group
  int tiles;                 // of a step: 1, 2 or 4, each of 16 outputs
  int passes, height;        // over a group's outputs, each over `height` of them

  ATTNLAB_SHARED_WORK few_rows::Range outputs_of(int group, int pass) const {
    const auto all = outputs.of(group);
    const int begin = all.begin + pass * height, end = begin + height;
    return {begin, end < all.end ? end : all.end};
  }
  // Warp w takes the pieces w, w + kWarps, ... of kPiece inputs; some have none in the last of these steps.
  ATTNLAB_SHARED_WORK int steps() const {
    constexpr int of_block = few_rows::kWarps * few_rows::kPiece;
    return (K + of_block - 1) / of_block;
  }
};

// Groups of 8 outputs at least, as many as there are multiprocessors for.
inline FewRowsLayout few_rows_layout(int M, int N, int K, int multiprocessors) {
  using namespace few_rows;
  const int wanted = whole_parts(N, kTile / 2), groups = wanted < multiprocessors ? wanted : multiprocessors;
  const int longest = whole_parts(N, groups), needed = whole_parts(longest, kTile),
            tiles = needed >= kMostTiles - 1 ? kMostTiles : needed;
  const int passes = whole_parts(longest, tiles * kTile);
  return {M, N, K, K, K, N, groups, shares_of(N, groups), tiles, passes, whole_parts(longest, passes)};
}

}  // namespace attnlab::cuda
