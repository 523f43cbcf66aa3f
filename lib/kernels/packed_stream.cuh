// Products of few rows with packed matrices whose groups are in order. The file that includes it says of what
// words it is made: CUDA's, or those of a block that a CPU runs.
#pragma once

#include <type_traits>

#include "kernels/packed_stream_layout.h"

// W is the left factor of mma.m16n8k16; which thread holds what of it is told in packed_linear.cu. x lies in
// shared memory, at the places that its inputs have in the words, in the pairs that a register holds. Words
// come through shared memory, too, each by the thread that uses it, so that no thread waits for others: as soon
// as a step is multiplied, one further on is asked for, of the next outputs where these end. A group's scales
// and zero points are asked for two groups ahead. Sums over warps are in their order: equal calls give equal
// bits.
namespace attnlab::cuda::packed_stream {

struct Matrix {
  const uint32_t *qweight, *qzeros;
  const uint16_t* scales;  // half precision
  const void* bias;        // null, or of the outputs, in y's format
};
struct Pointers {
  const void* x;
  const int32_t* place;  // null, or where an input stands
  Matrix part[kMostParts];
  void* y;
};

// Of one group: scales of four outputs in half precision and their zero points as they are stored.
struct RawGrid {
  uint32_t scales[2], low, high;
};

template <class T, int bits, int tiles, int depth>
struct Block {
  using W = Words<bits>;
  static constexpr int kPairs = W::own / 2;

  const PackedStreamLayout& l;
  const Pointers& p;
  const int lane, g, t, warp;
  const few_rows::Range outputs, own;  // of the block; steps of the warp
  const int passes, first_group, last_group;

  // Where this thread's four outputs of a pass stand.
  struct Place {
    Matrix matrix;
    int out, column;  // of the matrix
    bool there;
  };
  Four* ring;  // [depth, kThreads]
  // What is asked for next: words of a step in a pass, and the grid of a group in a pass.
  const uint32_t* words;
  int words_out, words_step = 0, words_pass = 0;
  bool words_there;
  Place grids;
  int grids_pass, grids_group;

  RawGrid raw[2];
  float scale[kOwn] = {};
  uint32_t zero[kOwn] = {};
  int until = 0;                                          // steps before the next group
  float sums[tiles][2][4] = {}, total[tiles][2][4] = {};  // of the group, of the pass

  __device__ Block(const PackedStreamLayout& layout, const Pointers& pointers)
      : l(layout),
        p(pointers),
        lane(threadIdx.x % kLanes),
        g(lane / 4),
        t(lane % 4),
        warp(threadIdx.x / kLanes),
        outputs(layout.outputs_of(blockIdx.x)),
        own(layout.steps_of(warp)),
        passes((outputs.size() + kHeight - 1) / kHeight),
        first_group(own.begin / layout.group_steps),
        last_group(own.size() > 0 ? (own.end - 1) / layout.group_steps : first_group) {}

  __device__ Place place_of(int pass) const {
    const int column = outputs.begin + pass * kHeight + kOwn * g;
    Place at = {p.part[0], (l.parts > 1 ? l.begin[1] : l.out), column, pass < passes && column < outputs.end};
#pragma unroll
    for (int i = 1; i < kMostParts; ++i)
      if (i < l.parts && column >= l.begin[i])
        at.matrix = p.part[i], at.column = column - l.begin[i],
        at.out = (i + 1 < l.parts ? l.begin[i + 1 < kMostParts ? i + 1 : i] : l.out) - l.begin[i];
    return at;
  }

  __device__ void turn_words_to(int pass) {
    const Place at = place_of(pass);
    const int64_t row = int64_t{own.begin} * W::rows + t;
    words = at.matrix.qweight + row * at.out + at.column;
    words_out = at.out, words_there = at.there;
  }
  // Of 3 bits three threads of four read a row of words each.
  __device__ void ask_for_words(int slot) {
    const int row = (own.begin + words_step) * W::rows + t;
    const bool there = words_there && words_step < own.size() && row < l.in / 32 * bits && t < W::rows;
    ask_for(ring + slot * kThreads + threadIdx.x, words, there);
    words += W::rows * int64_t{words_out};
    if (++words_step == l.warp_steps) words_step = 0, turn_words_to(++words_pass);
  }

  __device__ RawGrid read_grid() {
    RawGrid out = {};
    if (grids.there && own.size() > 0) {
      const int64_t row = grids_group;
      read_two(grids.matrix.scales + row * grids.out + grids.column, out.scales);
      const uint32_t* at = grids.matrix.qzeros + row * (grids.out * bits / 32) + bits * grids.column / 32;
      out.low = read_one(at);
      if (bits == 3 && bits * grids.column % 32 + kOwn * bits > 32) out.high = read_one(at + 1);
    }
    if (++grids_group > last_group) grids_group = first_group, grids = place_of(++grids_pass);
    return out;
  }

  // The group's sums count with its scales; the next group begins.
  __device__ void fold() {
#pragma unroll
    for (int n = 0; n < tiles; ++n)
#pragma unroll
      for (int h = 0; h < 2; ++h)
#pragma unroll
        for (int i = 0; i < 4; ++i) total[n][h][i] += scale[2 * h + i / 2] * sums[n][h][i], sums[n][h][i] = 0;
  }
  __device__ void take_grid(int column) {
    const uint32_t fields = funnel(raw[0].low, raw[0].high, bits * column % 32);
    widen(raw[0].scales[0], scale[0], scale[1]), widen(raw[0].scales[1], scale[2], scale[3]);
#pragma unroll
    for (int c = 0; c < kOwn; ++c)
      zero[c] = (kBase<T, bits> + (((fields >> (bits * c)) + l.zero_offset) & W::mask)) * 0x10001u;
    raw[0] = raw[1], raw[1] = read_grid();
  }
  // `column` mod 32 says where zero points stand in their words; parts begin at multiples of 32.
  __device__ void begin_pass(int column) {
    until = l.group_steps - own.begin % l.group_steps;
    take_grid(column);
  }
  __device__ void enter_step(int column) {
    if (until == 0) fold(), take_grid(column), until = l.group_steps;
    --until;
  }

  // The pairs (s, s + own/2) of a column are (fields >> bits · s) & masks.
  __device__ uint32_t fields_of(const Four& step, int c) const {
    if constexpr (bits != 3) return step.word[c];
    const uint32_t low = of_lane(step.word[c], lane - t + 24 * t / 32),
                   high = of_lane(step.word[c], lane - t + (24 * t + 23) / 32);
    const uint32_t all = funnel(low, high, 24 * t % 32);
    return (all & 0xfff) | (all & 0xfff000) << 4;
  }

  __device__ void multiply_step(int step, const Four& from, const uint16_t* x) {
    uint32_t left[2][kPairs / 2][4], right[tiles][kPairs];
#pragma unroll
    for (int c = 0; c < kOwn; ++c) {
      const uint32_t fields = fields_of(from, c);
#pragma unroll
      for (int s = 0; s < kPairs; ++s)
        left[c / 2][s / 2][c % 2 + 2 * (s % 2)] = centred<T, bits>((fields >> (bits * s)) & W::masks, zero[c]);
    }
#pragma unroll
    for (int n = 0; n < tiles; ++n) {
      // Columns of the product for which there is no row are never written.
      const int wanted = n * kColumns + g, row = wanted < l.rows ? wanted : l.rows - 1;
      read_pairs(x + row * l.pitch + (own.begin + step) * W::step + t * W::own, step < own.size(), right[n]);
    }
#pragma unroll
    for (int n = 0; n < tiles; ++n)
#pragma unroll
      for (int h = 0; h < 2; ++h)
#pragma unroll
        for (int k = 0; k < kPairs / 2; ++k)
          multiply<T>(sums[n][h], left[h][k], right[n][2 * k], right[n][2 * k + 1]);
  }

  // Where a number stands among those of a thread's step: pairs are (s, s + own/2).
  __device__ static int paired(int at) {
    const int i = at % W::own;
    return at - i + (i < kPairs ? 2 * i : 2 * (i - kPairs) + 1);
  }
  template <int n>
  __device__ static void write_numbers(uint16_t* row, const int (&at)[n], const Four& in) {
#pragma unroll
    for (int k = 0; k < n; ++k) row[at[k]] = static_cast<uint16_t>(in.word[k / 2] >> (16 * (k % 2)));
  }
  __device__ void stage_inputs(uint16_t* x) const {
    constexpr int numbers = 8, kTogether = tiles > 1 ? 8 : 4;  // rows that are read before the first is written
    const int pieces = l.in / numbers;
    const auto* from = static_cast<const uint16_t*>(p.x);
    for (int i = threadIdx.x; i < pieces; i += kThreads) {
      Four place[2] = {};
      if (p.place) place[0] = read_four(p.place + i * numbers), place[1] = read_four(p.place + i * numbers + 4);
      int at[numbers];
#pragma unroll
      for (int k = 0; k < numbers; ++k)
        at[k] = paired(p.place ? static_cast<int>(place[k / 4].word[k % 4]) : i * numbers + k);
      for (int first = 0; first < l.rows; first += kTogether) {
        Four in[kTogether];
#pragma unroll
        for (int r = 0; r < kTogether; ++r) {
          const int row = first + r < l.rows ? first + r : l.rows - 1;
          in[r] = read_four(from + int64_t{row} * l.in + i * numbers);
        }
#pragma unroll
        for (int r = 0; r < kTogether; ++r)
          if (first + r < l.rows) write_numbers(x + (first + r) * l.pitch, at, in[r]);
      }
    }
    const int behind = l.steps * W::step - l.in;
    for (int i = threadIdx.x; i < l.rows * behind; i += kThreads)
      x[i / behind * l.pitch + paired(l.in + i % behind)] = 0;
  }

  // What the warps have, added in their order; `total` of rows 2t and 2t + 1 and columns 4g ... + 3.
  __device__ void leave_pass(int pass, float* shared) {
    fold();
#pragma unroll
    for (int n = 0; n < tiles; ++n)
#pragma unroll
      for (int odd = 0; odd < 2; ++odd) {
        const int row = n * kColumns + 2 * t + odd;
        float* at = shared + (warp * l.rows + row) * kHeight + kOwn * g;
        if (row < l.rows)
          write_four(at, total[n][0][odd], total[n][0][2 + odd], total[n][1][odd], total[n][1][2 + odd]);
      }
    __syncthreads();
    for (int i = threadIdx.x; i < l.rows * kHeight; i += kThreads) {
      float sum = 0;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) sum += shared[w * l.rows * kHeight + i];
      const int column = outputs.begin + pass * kHeight + i % kHeight;
      if (column < outputs.end) write_output(i / kHeight, column, sum);
    }
    if (pass + 1 < passes) __syncthreads();
#pragma unroll
    for (int n = 0; n < tiles; ++n)
#pragma unroll
      for (int i = 0; i < 8; ++i) total[n][i / 4][i % 4] = 0;
  }
  __device__ void write_output(int row, int column, float sum) const {
    const auto* bias = static_cast<const T*>(p.part[0].bias);
    int begin = 0;
#pragma unroll
    for (int i = 1; i < kMostParts; ++i)
      if (i < l.parts && column >= l.begin[i]) bias = static_cast<const T*>(p.part[i].bias), begin = l.begin[i];
    if (bias) sum += wide_of(bias[column - begin]);
    static_cast<T*>(p.y)[int64_t{row} * l.out + column] = number_of<T>(sum);
  }

  __device__ void run() {
    uint16_t* x = shared_memory();
    auto* shared = reinterpret_cast<float*>(x + l.x_bytes() / 2);
    ring = reinterpret_cast<Four*>(shared + l.sum_bytes() / 4);
    turn_words_to(0);
#pragma unroll 1
    for (int slot = 0; slot < depth; ++slot) ask_for_words(slot);
    grids_pass = 0, grids_group = first_group, grids = place_of(0);
    raw[0] = read_grid(), raw[1] = read_grid();
    stage_inputs(x);
    __syncthreads();
    int slot = 0;
    for (int pass = 0; pass < passes; ++pass) {
      const int column = outputs.begin + pass * kHeight + kOwn * g;
      begin_pass(column);
#pragma unroll 1
      for (int step = 0; step < l.warp_steps; ++step) {
        const bool there = step < own.size();
        wait_for_oldest<depth>();
        if (there) enter_step(column);
        if (there || !kSkips) multiply_step(step, read_four(ring + slot * kThreads + threadIdx.x), x);
        ask_for_words(slot);
        slot = (slot + 1) % depth;
      }
      leave_pass(pass, shared);
    }
  }
};

template <class T, int bits, int tiles, int depth>
__global__ void __launch_bounds__(kThreads) product(PackedStreamLayout layout, Pointers pointers) {
  Block<T, bits, tiles, depth>(layout, pointers).run();
}

}  // namespace attnlab::cuda::packed_stream
