// How the blocks of packed_stream.cuh's kernel share the outputs of packed matrices. Without CUDA, so that a
// CPU can walk it.
#pragma once

#include "kernels/few_rows_layout.h"
#include "kernels/packed_words.h"

namespace attnlab::cuda {

namespace packed_stream {

constexpr int kWarps = 16, kLanes = 32, kThreads = kWarps * kLanes;
constexpr int kHeight = 32;  // outputs of a pass
constexpr int kOwn = 4;      // of them a thread's
constexpr int kUnit = 8;     // outputs of 32 bytes of words
constexpr int kColumns = 8;  // rows of x of a product on tensor cores
constexpr int kMostParts = 4;
constexpr int kDeep = 8, kShallow = 4;  // steps on their way

struct alignas(16) Four {
  uint32_t word[4];
};

}  // namespace packed_stream

// y [rows, Σ out] = x [rows, in] of matrices of one input, their outputs behind each other. Blocks have even
// shares of all outputs; the warps of a block have even shares of the inputs, in steps.
struct PackedStreamLayout {
  int rows, in, out, parts;              // out: of all
  int begin[packed_stream::kMostParts];  // each part's first output among all
  int blocks, steps, group_steps, warp_steps,
      pitch;  // warp_steps: at most; pitch: of x's rows in shared memory
  uint32_t zero_offset;
  few_rows::Shares units;  // of a block

  ATTNLAB_SHARED_WORK few_rows::Range outputs_of(int block) const {
    const auto own = units.of(block);
    return {own.begin * packed_stream::kUnit, own.end * packed_stream::kUnit};
  }
  ATTNLAB_SHARED_WORK few_rows::Range steps_of(int warp) const {
    return {steps * warp / packed_stream::kWarps, steps * (warp + 1) / packed_stream::kWarps};
  }
  // x, the sums of all warps, and words of `depth` steps that are on their way.
  ATTNLAB_SHARED_WORK int x_bytes() const { return rows * pitch * 2; }
  ATTNLAB_SHARED_WORK int sum_bytes() const {
    return packed_stream::kWarps * rows * packed_stream::kHeight * 4;
  }
  ATTNLAB_SHARED_WORK int shared_bytes(int depth) const {
    return x_bytes() + sum_bytes() +
           depth * packed_stream::kThreads * static_cast<int>(sizeof(packed_stream::Four));
  }
};

// group: columns of one, a multiple of a step, or not below `in`. outs: of each part, multiples of 32.
template <int bits>
PackedStreamLayout packed_stream_layout(int rows, int in, int group, const int* outs, int parts,
                                        int multiprocessors) {
  using namespace packed_stream;
  PackedStreamLayout l = {};
  l.rows = rows, l.in = in, l.parts = parts;
  for (int i = 0; i < parts; ++i) l.begin[i] = l.out, l.out += outs[i];
  const int units = l.out / packed_stream::kUnit;
  l.blocks = units < multiprocessors ? units : multiprocessors;
  l.units = few_rows::shares_of(units, l.blocks);
  l.steps = few_rows::whole_parts(in, Words<bits>::step);
  l.group_steps = group >= in ? l.steps : group / Words<bits>::step;
  l.warp_steps = few_rows::whole_parts(l.steps, kWarps);
  // Rows begin half of shared memory's banks apart.
  const int numbers = l.steps * Words<bits>::step;
  l.pitch = (numbers + 31) / 64 * 64 + 32;
  return l;
}

}  // namespace attnlab::cuda
