// The kernel of few_rows.h. The file that includes it says of what words it is made: CUDA's, or those of a
// block that a CPU runs.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>
#include <type_traits>

#include "kernels/few_rows_layout.h"

// Products of 16 outputs and 8 rows of x over 16 inputs on tensor cores (mma.m16n8k16): W is the left factor.
// In which order inputs stand along k is free as long as both factors agree, so that a thread (g, t) of a warp
// (lane 4 g + t) reads 16 bytes, the inputs 8 t ... 8 t + 7 of a piece of 32, of the rows g and g + 8 of a tile
// of W and of the row g of x: in words of two numbers, words 0 and 1 are what it holds of a first product, 2
// and 3 of a second. W so goes from memory to the registers that multiply it, each number once. Tiles of W are
// read again, for a later step, right behind the products that used them: that many reads are on their way at
// all times. Warps of a block have pieces of their own; sums over warps are in their order: equal calls give
// equal bits.
namespace attnlab::cuda::few_rows {

struct Pointers {
  const __nv_bfloat16 *x, *w, *bias;  // bias: null, or of the outputs
  __nv_bfloat16* y;
};

#ifdef __CUDACC__

// Zeros where there is nothing. Each number of W is read once.
__device__ inline Eight read_weights(const __nv_bfloat16* at, bool there) {
  Eight out;
  asm volatile(
      "{\n .reg .pred p;\n setp.ne.s32 p, %5, 0;\n mov.u32 %0, 0;\n mov.u32 %1, 0;\n mov.u32 %2, 0;\n"
      " mov.u32 %3, 0;\n @p ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];\n}"
      : "=&r"(out.pair[0]), "=&r"(out.pair[1]), "=&r"(out.pair[2]), "=&r"(out.pair[3])
      : "l"(at), "r"(static_cast<int>(there)));
  return out;
}
__device__ inline Eight read_inputs(const __nv_bfloat16* at, bool there) {
  Eight out;
  asm volatile(
      "{\n .reg .pred p;\n setp.ne.s32 p, %5, 0;\n mov.u32 %0, 0;\n mov.u32 %1, 0;\n mov.u32 %2, 0;\n"
      " mov.u32 %3, 0;\n @p ld.global.v4.u32 {%0, %1, %2, %3}, [%4];\n}"
      : "=&r"(out.pair[0]), "=&r"(out.pair[1]), "=&r"(out.pair[2]), "=&r"(out.pair[3])
      : "l"(at), "r"(static_cast<int>(there))
      : "memory");
  return out;
}

// sums [16, 8] += a [16, 16] b [16, 8].
__device__ inline void multiply(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline float* shared_numbers() {
  extern __shared__ float numbers[];
  return numbers;
}

#endif

constexpr int kHalfTile = kTile / 2;

// Which of a block's steps: over the inputs, pass by pass.
struct Walk {
  int step, pass;
  Range outputs;
};

// `depth` steps are on their way.
template <int tiles, int columns, int depth>
struct Block {
  static constexpr int kPitch = tiles * kTile + 4;  // of sums: no two lanes of a warp write to one bank
  static constexpr int kWarpNumbers = columns * kColumns * kPitch;

  const FewRowsLayout& l;
  const Pointers& p;
  int g, t, warp, steps;
  Eight w[depth][tiles][2], x[depth][columns];
  float sums[tiles][columns][4];

  __device__ Block(const FewRowsLayout& layout, const Pointers& pointers)
      : l(layout),
        p(pointers),
        g(threadIdx.x % kLanes / 4),
        t(threadIdx.x % 4),
        warp(threadIdx.x / kLanes),
        steps((layout.steps() + depth - 1) / depth * depth) {
    clear();
  }

  __device__ void clear() {
#pragma unroll
    for (int i = 0; i < tiles; ++i)
#pragma unroll
      for (int n = 0; n < columns; ++n)
#pragma unroll
        for (int c = 0; c < 4; ++c) sums[i][n][c] = 0;
  }

  __device__ void advance(Walk& walk) const {
    if (++walk.step < steps) return;
    walk.step = 0;
    if (++walk.pass < l.passes) walk.outputs = l.outputs_of(blockIdx.x, walk.pass);
  }
  // Where this thread reads W in a step, and of how many outputs from there on; of none behind the last step.
  struct Place {
    const __nv_bfloat16* at;
    int input, outputs;
  };
  __device__ Place place_of(const Walk& walk) const {
    const int input = (walk.step * kWarps + warp) * kPiece + 8 * t;
    const bool there = walk.pass < l.passes && input < l.K;
    return {p.w + (walk.outputs.begin + g) * l.w_row + input, there ? input : -1,
            there ? walk.outputs.size() - g : 0};
  }

  // Tiles in turn.
  __device__ void read_tile(Place& place, int tile, Eight (&out)[2]) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      out[half] = read_weights(place.at, place.outputs > tile * kTile + half * kHalfTile);
      place.at += kHalfTile * l.w_row;
    }
  }
  __device__ void read_x(const Place& place, Eight (&out)[columns]) const {
#pragma unroll
    for (int n = 0; n < columns; ++n) {
      const int row = n * kColumns + g;
      out[n] = read_inputs(p.x + row * l.x_row + place.input, place.input >= 0 && row < l.M);
    }
  }

  __device__ void multiply_tile(int d, int tile) {
#pragma unroll
    for (int half = 0; half < 4; half += 2) {
      const Eight &low = w[d][tile][0], &high = w[d][tile][1];
      const uint32_t left[4] = {low.pair[half], high.pair[half], low.pair[half + 1], high.pair[half + 1]};
#pragma unroll
      for (int n = 0; n < columns; ++n)
        multiply(sums[tile][n], left, x[d][n].pair[half], x[d][n].pair[half + 1]);
    }
  }

  __device__ void write_sums(float* shared) const {
#pragma unroll
    for (int i = 0; i < tiles; ++i)
#pragma unroll
      for (int n = 0; n < columns; ++n)
#pragma unroll
        for (int c = 0; c < 4; ++c) {
          const int output = i * kTile + g + c / 2 * kHalfTile, row = n * kColumns + 2 * t + c % 2;
          shared[warp * kWarpNumbers + row * kPitch + output] = sums[i][n][c];
        }
  }
  __device__ void write_output(int row, int output, float sum) const {
    if (p.bias) sum += __bfloat162float(p.bias[output]);
    p.y[row * l.y_row + output] = __float2bfloat16_rn(sum);
  }

  // A pass ends: its outputs are the sums over warps.
  __device__ void leave(Range outputs) {
    constexpr int wide = tiles * kTile;
    float* shared = shared_numbers();
    write_sums(shared);
    __syncthreads();
    for (int i = threadIdx.x; i < l.M * wide; i += kThreads) {
      const int row = i / wide, output = i % wide;
      const float* at = shared + row * kPitch + output;
      float sum = 0;
#pragma unroll
      for (int from = 0; from < kWarps; ++from) sum += at[from * kWarpNumbers];
      if (output < outputs.size()) write_output(row, outputs.begin + output, sum);
    }
    __syncthreads();
    clear();
  }

  __device__ void run() {
    Walk next{0, 0, l.outputs_of(blockIdx.x, 0)};
    Range outputs = next.outputs;
#pragma unroll
    for (int d = 0; d < depth; ++d) {
      auto place = place_of(next);
#pragma unroll
      for (int i = 0; i < tiles; ++i) read_tile(place, i, w[d][i]);
      read_x(place, x[d]);
      advance(next);
    }
    for (int pass = 0; pass < l.passes; ++pass) {
      for (int step = 0; step < steps; step += depth) {
#pragma unroll
        for (int d = 0; d < depth; ++d) {
          auto place = place_of(next);
#pragma unroll
          for (int i = 0; i < tiles; ++i) {
            multiply_tile(d, i);
            read_tile(place, i, w[d][i]);
          }
          read_x(place, x[d]);
          advance(next);
        }
      }
      leave(outputs);
      outputs = l.outputs_of(blockIdx.x, pass + 1);
    }
  }
};

template <int tiles, int columns>
constexpr int kSharedBytes = kWarps* Block<tiles, columns, 1>::kWarpNumbers * 4;

template <int n>
using Constant = std::integral_constant<int, n>;

// action(tiles, columns, depth) as constants. Steps on their way: as many as registers suffice for, or as there
// are.
template <class Action>
auto with_sizes(const FewRowsLayout& l, const Action& action) {
  const auto with_columns = [&](auto tiles, auto depth_of_one, auto depth_of_two) {
    return l.M <= kColumns ? action(tiles, Constant<1>{}, depth_of_one)
                           : action(tiles, Constant<2>{}, depth_of_two);
  };
  const bool is_short = l.steps() <= 2;
  if (l.tiles == 1 && is_short) return with_columns(Constant<1>{}, Constant<2>{}, Constant<2>{});
  if (l.tiles == 1) return with_columns(Constant<1>{}, Constant<4>{}, Constant<4>{});
  return l.tiles == 2 ? with_columns(Constant<2>{}, Constant<4>{}, Constant<2>{})
                      : with_columns(Constant<kMostTiles>{}, Constant<2>{}, Constant<1>{});
}

template <int tiles, int columns, int depth>
__global__ void __launch_bounds__(kThreads) product(FewRowsLayout layout, Pointers pointers) {
  Block<tiles, columns, depth>(layout, pointers).run();
}

}  // namespace attnlab::cuda::few_rows
