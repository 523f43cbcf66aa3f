// Products of few rows with packed matrices. The file that includes it says of what words it is made: CUDA's,
// or those of a block that a CPU runs.
#pragma once

#include <climits>
#include <type_traits>

#include "kernels/packed_words.h"

// y = x Wᵀ for up to 16 rows of x and W in the hub's packed layout, on tensor cores (mma.m16n8k16). W is the
// left factor: its whole numbers less their zero points are exact in 16 bits, sums are float32, and a group's
// sum is multiplied by its scale once. Words go from memory to the registers that multiply them, each once:
// which input stands where along k is free as long as both factors agree, so that a thread (g, t) of a warp
// holds
//   outputs  first + 4 g ... + 3, a word of each in one access: rows g and g + 8 of two tiles
//   inputs   those of the t-th of four rows of words (3 bits: the t-th 24 of 96 bits), `own` of them
// and the pairs that a register holds are the inputs s and s + own/2. A block takes 32 outputs of one matrix;
// its warps share the inputs and add what they have in the warps' order: equal calls give equal bits.
namespace attnlab::cuda::packed_blocks {

constexpr int kLanes = 32, kColumns = 32, kOwnColumns = 4, kRowsOfMma = 8;
constexpr int kManyWarps = 16, kFewWarps = 8;

struct Matrix {
  const uint32_t *qweight, *qzeros;
  const uint16_t* scales;    // half precision
  const void* bias;          // null, or [out] in y's format
  int out, first = INT_MAX;  // outputs, a multiple of kColumns; the block that has the first of them
};

// y [rows, out] of matrices of one input, their outputs behind each other.
struct Product {
  int rows, in, out;  // out: of all
  int group;          // columns of a group, groups in order; 0: g_idx says
  uint32_t zero_offset;
  const int32_t* g_idx;  // as inputs stand in the words
  const int32_t* order;  // null, or of which input of x's one row: it is gathered
  Matrix matrix[kMostPackedFactors];

  int blocks() const { return out / kColumns; }
};

// That of a block, left where the kernel's arguments lie.
__device__ inline const Matrix& matrix_of(const Product& p, int block) {
  int at = 0;
#pragma unroll
  for (int i = 1; i < kMostPackedFactors; ++i) at += block >= p.matrix[i].first ? 1 : 0;
  return p.matrix[at];
}

// Four neighbouring outputs' scales and zero points of one group.
struct Grid {
  float scale[kOwnColumns];
  uint32_t zero[kOwnColumns];
};

template <int bits>
__device__ inline Grid grid_of(const Product& p, const Matrix& m, int group, int64_t column) {
  Grid grid;
  const int64_t bit = bits * column, word = bit / 32;
  const int shift = static_cast<int>(bit % 32);
  const uint32_t* row = m.qzeros + int64_t{group} * (m.out * bits / 32);
  const uint32_t high = shift + kOwnColumns * bits > 32 ? row[word + 1] : 0;
  const uint32_t fields = funnel(row[word], high, shift);
  uint32_t halves[2];
  read_numbers(m.scales + int64_t{group} * m.out + column, halves);
  widen(halves[0], grid.scale[0], grid.scale[1]);
  widen(halves[1], grid.scale[2], grid.scale[3]);
#pragma unroll
  for (int c = 0; c < kOwnColumns; ++c)
    grid.zero[c] = ((fields >> (bits * c)) + p.zero_offset) & Words<bits>::mask;
  return grid;
}

// The words of a step that hold this thread's inputs.
template <int bits>
struct Step {
  Four words[Words<bits>::accesses];
};

template <int bits>
__device__ inline Step<bits> read_step(const Product& p, const Matrix& m, int64_t step, int t, int64_t column) {
  constexpr int rows = Words<bits>::rows;
  Step<bits> out = {};
  const int64_t last = p.in * bits / 32 - 1;
#pragma unroll
  for (int a = 0; a < Words<bits>::accesses; ++a) {
    const int64_t row = step * rows + (bits == 3 ? (24 * t + 23 * a) / 32 : t);
    if (row <= last) out.words[a] = read_words(m.qweight + row * m.out + column);
  }
  return out;
}

// The pairs (s, s + own/2) of a column are (fields >> bits · s) & masks.
template <int bits>
__device__ inline uint32_t fields_of(const Step<bits>& step, int t, int column) {
  if constexpr (bits != 3) return step.words[0].word[column];
  const uint32_t all = funnel(step.words[0].word[column], step.words[1].word[column], 24 * t % 32);
  return (all & 0xfff) | (all & 0xfff000) << 4;
}

// x's inputs of a step as the right factor: pairs (s, s + own/2) of row `row`; zeros where there is none.
template <class T, int bits>
__device__ inline void read_inputs(const Product& p, const T* x, int64_t row, int64_t input,
                                   uint32_t (&pairs)[Words<bits>::own / 2]) {
  constexpr int words = Words<bits>::own / 2;  // of two numbers
  uint32_t in[words] = {};
  if (row < p.rows && input < p.in) read_numbers(x + row * p.in + input, in);
#pragma unroll
  for (int s = 0; s < words; s += 2) {
    pairs[s] = low_numbers(in[s / 2], in[(s + words) / 2]);
    pairs[s + 1] = high_numbers(in[s / 2], in[(s + words) / 2]);
  }
}

// One row in an order of its own: lane (g, t) reads the g-th pair of the t-th inputs of a step, and all lanes
// with that t get it. Where its inputs are in x is asked for before the steps ahead are multiplied.
struct Pair {
  int low = -1, high = -1;
};
template <int bits>
__device__ inline Pair find_pair(const Product& p, int64_t step, int64_t end, int g, int t) {
  using W = Words<bits>;
  const int64_t input = step * W::step + t * W::own + g;
  Pair out;
  if (step < end && input < p.in && g < W::own / 2)
    out.low = read_one(p.order + input), out.high = read_one(p.order + input + W::own / 2);
  return out;
}
// Both numbers apart: nothing waits for them here.
template <class T, int pairs>
__device__ inline void read_pair(const T* x, const Pair& at, uint32_t (&out)[pairs]) {
  const bool there = at.low >= 0;
  out[0] = there ? read_number(x + at.low) : 0;
  out[1] = there ? read_number(x + at.high) : 0;
}
// There is one row: what other columns of the product get is nobody's.
template <int pairs>
__device__ inline void spread(uint32_t (&numbers)[pairs], int t) {
  const uint32_t mine = numbers[0] | numbers[1] << 16;
#pragma unroll
  for (int s = 0; s < pairs; ++s) numbers[s] = of_lane(mine, 4 * s + t);
}

// Groups of columns in order: a warp's step lies in one.
template <class T, int bits, int tiles>
struct Ordered {
  Grid grid;
  int group = -1;
  float sums[tiles][2][4] = {};  // of the group

  __device__ void enter(const Product& p, const Matrix& m, int64_t input, int64_t column,
                        float (&total)[tiles][2][4]) {
    const int next = static_cast<int>(input) / p.group;
    if (next == group) return;
    leave(total);
    group = next;
    grid = grid_of<bits>(p, m, group, column);
#pragma unroll
    for (int c = 0; c < kOwnColumns; ++c) grid.zero[c] = (kBase<T, bits> + grid.zero[c]) * 0x10001u;
  }
  __device__ void leave(float (&total)[tiles][2][4]) {
    if (group < 0) return;
#pragma unroll
    for (int n = 0; n < tiles; ++n)
#pragma unroll
      for (int h = 0; h < 2; ++h)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          total[n][h][i] += grid.scale[2 * h + i / 2] * sums[n][h][i];
          sums[n][h][i] = 0;
        }
  }
};

template <class T, int bits, int tiles>
__device__ inline void multiply_step(const uint32_t (&left)[2][Words<bits>::own / 4][4],
                                     const uint32_t (&right)[tiles][Words<bits>::own / 2],
                                     float (&sums)[tiles][2][4]) {
#pragma unroll
  for (int n = 0; n < tiles; ++n)
#pragma unroll
    for (int h = 0; h < 2; ++h)
#pragma unroll
      for (int k = 0; k < Words<bits>::own / 4; ++k)
        multiply<T>(sums[n][h], left[h][k], right[n][2 * k], right[n][2 * k + 1]);
}

// Column c is row g (c even) or g + 8 of half c / 2; pair s is along k the (s % 2)-th of product s / 2.
template <class T, int bits>
__device__ inline void place(uint32_t (&left)[2][Words<bits>::own / 4][4], int column, int s, uint32_t pair) {
  left[column / 2][s / 2][column % 2 + 2 * (s % 2)] = pair;
}

template <class T, int bits>
__device__ inline void fill_ordered(const Grid& grid, const Step<bits>& step, int t,
                                    uint32_t (&left)[2][Words<bits>::own / 4][4]) {
#pragma unroll
  for (int c = 0; c < kOwnColumns; ++c) {
    const uint32_t fields = fields_of<bits>(step, t, c);
#pragma unroll
    for (int s = 0; s < Words<bits>::own / 2; ++s)
      place<T, bits>(left, c, s, centred<T, bits>((fields >> (bits * s)) & Words<bits>::masks, grid.zero[c]));
  }
}

// Each input of its own group: weights are rounded to T, as where they are dequantised first.
template <class T, int bits>
__device__ inline void fill_anywhere(const Product& p, const Matrix& m, int64_t input, int64_t column,
                                     const Step<bits>& step, int t,
                                     uint32_t (&left)[2][Words<bits>::own / 4][4]) {
  constexpr int half = Words<bits>::own / 2;
  const bool there = input < p.in;
#pragma unroll
  for (int s = 0; s < half; ++s) {
    const Grid low = grid_of<bits>(p, m, there ? p.g_idx[input + s] : 0, column);
    const Grid high = grid_of<bits>(p, m, there ? p.g_idx[input + s + half] : 0, column);
#pragma unroll
    for (int c = 0; c < kOwnColumns; ++c) {
      const uint32_t pair = (fields_of<bits>(step, t, c) >> (bits * s)) & Words<bits>::masks;
      const auto number = [](uint32_t q, uint32_t zero) {
        return static_cast<float>(static_cast<int>(q) - static_cast<int>(zero));
      };
      place<T, bits>(left, c, s,
                     pair_of<T>(low.scale[c] * number(pair & 0xffff, low.zero[c]),
                                high.scale[c] * number(pair >> 16, high.zero[c])));
    }
  }
}

// What the warps have, added in their order; `total` of rows 2t and 2t + 1 and columns 4g ... + 3.
template <class T, int tiles>
__device__ inline void leave_block(const Product& p, const Matrix& m, const float (&total)[tiles][2][4],
                                   float* shared, T* y) {
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes, warps = blockDim.x / kLanes;
  constexpr int rows = tiles * kRowsOfMma;
  const int g = lane / 4, t = lane % 4;
#pragma unroll
  for (int n = 0; n < tiles; ++n)
#pragma unroll
    for (int odd = 0; odd < 2; ++odd) {
      const int row = n * kRowsOfMma + 2 * t + odd;
      write_four(shared + (warp * rows + row) * kColumns + kOwnColumns * g, total[n][0][odd],
                 total[n][0][2 + odd], total[n][1][odd], total[n][1][2 + odd]);
    }
  wait_for_block();
  const auto* bias = static_cast<const T*>(m.bias);
  const int first = (blockIdx.x - m.first) * kColumns;
  for (int i = threadIdx.x; i < p.rows * kColumns; i += blockDim.x) {
    float sum = 0;
    for (int w = 0; w < warps; ++w) sum += shared[w * rows * kColumns + i];
    if (bias) sum += wide_of(bias[first + i % kColumns]);
    const int64_t at = int64_t{i / kColumns} * p.out + blockIdx.x * kColumns + i % kColumns;
    y[at] = number_of<T>(sum);
  }
}

// Steps whose words are read before the first is used, as registers suffice.
template <int bits, int tiles, bool ordered, int warps>
constexpr int kAheadOf = bits < 4 && (tiles > 1 || !ordered || warps == kFewWarps) ? 2 : 4;

// Where a multiprocessor has one block, it has more warps; where it has several, they fill it while one ends.
template <int tiles, bool ordered, int warps>
constexpr int kBlocksAtOnce = warps == kManyWarps    ? 1
                              : ordered&& tiles == 1 ? 3
                                                     : 2;

template <class T, int bits, int tiles, bool ordered, bool gathered, int warps>
__global__ void __launch_bounds__(warps* kLanes, kBlocksAtOnce<tiles, ordered, warps>)
    product(Product p, const T* __restrict__ x, T* __restrict__ y) {
  using W = Words<bits>;
  constexpr int kAhead = kAheadOf<bits, tiles, ordered, warps>;
  alignas(16) __shared__ float shared[warps * tiles * kRowsOfMma * kColumns];
  const Matrix& m = matrix_of(p, blockIdx.x);
  const int lane = threadIdx.x % kLanes, g = lane / 4, t = lane % 4;
  const int64_t column = (blockIdx.x - m.first) * static_cast<int64_t>(kColumns) + kOwnColumns * g;
  const int64_t steps = (p.in + W::step - 1) / W::step, warp = threadIdx.x / kLanes;
  const int64_t begin = steps * warp / warps, end = steps * (warp + 1) / warps;
  float total[tiles][2][4] = {};
  Ordered<T, bits, tiles> group;
  Pair next[kAhead];
  const auto find_next = [&](int64_t first) {
#pragma unroll
    for (int a = 0; a < kAhead; ++a) next[a] = find_pair<bits>(p, first + a, end, g, t);
  };
  if constexpr (gathered) find_next(begin);
  for (int64_t first = begin; first < end; first += kAhead) {
    Step<bits> ahead[kAhead];
    uint32_t right[kAhead][tiles][W::own / 2];
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      if (first + a >= end) break;
      ahead[a] = read_step<bits>(p, m, first + a, t, column);
#pragma unroll
      for (int n = 0; n < tiles; ++n)
        if constexpr (gathered)
          read_pair(x, next[a], right[a][n]);
        else
          read_inputs<T, bits>(p, x, n * kRowsOfMma + g, (first + a) * W::step + t * W::own, right[a][n]);
    }
    if constexpr (gathered) find_next(first + kAhead);
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      if (first + a >= end) break;
      if constexpr (gathered) spread(right[a][0], t);
      const int64_t input = (first + a) * W::step;
      uint32_t left[2][W::own / 4][4];
      if constexpr (ordered) {
        group.enter(p, m, input, column, total);
        fill_ordered<T, bits>(group.grid, ahead[a], t, left);
        multiply_step<T, bits, tiles>(left, right[a], group.sums);
      } else {
        fill_anywhere<T, bits>(p, m, input + t * W::own, column, ahead[a], t, left);
        multiply_step<T, bits, tiles>(left, right[a], total);
      }
    }
  }
  if constexpr (ordered) group.leave(total);
  leave_block<T, tiles>(p, m, total, shared, y);
}

template <int n>
using Constant = std::integral_constant<int, n>;

// action(tiles, ordered, gathered, warps) as constants.
template <int bits, class Action>
void with_sizes(const Product& p, int multiprocessors, const Action& action) {
  constexpr Constant<0> no;
  constexpr Constant<1> yes;
  constexpr Constant<2> two;
  const auto with_warps = [&](auto tiles, auto ordered, auto gathered) {
    if (p.blocks() <= multiprocessors)
      action(tiles, ordered, gathered, Constant<kManyWarps>{});
    else
      action(tiles, ordered, gathered, Constant<kFewWarps>{});
  };
  const bool ordered = groups_fill_steps<bits>(p.in, p.group);
  if (p.rows > kRowsOfMma) return ordered ? with_warps(two, yes, no) : with_warps(two, no, no);
  if (!ordered) return with_warps(yes, no, no);
  p.order ? with_warps(yes, yes, yes) : with_warps(yes, yes, no);
}

}  // namespace attnlab::cuda::packed_blocks
