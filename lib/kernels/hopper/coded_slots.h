// How warps of Hopper's kernel over a coded latent share a tile of 64 tokens, what they make of it, and where:
// arithmetic without CUDA's headers, so that a CPU can walk the threads.
#pragma once

#include "kernels/coded_tile.h"

#ifdef __CUDA_ARCH__
#define ATTNLAB_UNROLL _Pragma("unroll")
#else
#define ATTNLAB_UNROLL
#endif

namespace attnlab::cuda::hopper {

// The copy engine brings 128 codes of each of a warp's tokens at once, side by side.
constexpr int kSlotColumns = 128;
// What the matrix unit reads: blocks of 64 tokens, each with a row of 64 numbers in 128 bytes, whose pieces of
// 16 bytes stand at their number XOR the row's.
constexpr int kTokensOfTile = 64, kColumnsOfBlock = 64, kBytesOfRow = 128,
              kBytesOfBlock = kTokensOfTile * kBytesOfRow;

constexpr int kAtOnce = 4;  // reads of a thread that are under way together

ATTNLAB_BOTH int place_in_block(int row, int piece) { return row * kBytesOfRow + ((piece ^ (row & 7)) << 4); }

// One of `warps` that decode: its tokens of a tile are side by side.
template <int warps>
struct Decoder {
  static constexpr int tokens = kTokensOfTile / warps, slot_bytes = tokens * kSlotColumns;

  const CodedTokens& c;
  int R, warp, lane;
  int S, gap;  // tokens of the sequence; token s stands in row s - gap
  // Instead of a division: column · reciprocal / 2^20 is right where column · group < 2^20.
  int reciprocal = (1 << 20) / c.group + 1;

  static ATTNLAB_BOTH int scale_pitch(const CodedTokens& c) { return whole_steps(c.scales.bytes); }
  ATTNLAB_BOTH int first_token(int tile) const { return tile * kTokensOfTile + warp * tokens; }

  // This lane's copies of the scales of a tile's tokens, zeros where there is no token.
  ATTNLAB_BOTH void copy_scales(int64_t b, int tile, char* to) const {
    const TokenBytes& part = c.scales;
    const int steps = part.bytes / part.step, pitch = scale_pitch(c);
    for (int i = lane; i < tokens * steps; i += 32) {
      const int token = i / steps, at = i % steps * part.step;
      const int s = first_token(tile) + token, row = s - gap;
      const bool there = row >= 0 && s < S;
      copy_step(to + token * pitch + at, there ? part.at + b * part.b + row * part.t + at : part.at, part.step,
                there);
    }
  }

  // This lane's numbers of a slot: 8 codes of every other token, so that 16 lanes read a row of 128 bytes and 8
  // lanes write one, no two of them in one bank. Before the sequence's first row the copy engine left zeros,
  // and behind the last of R codes, too. Several are read before the first is written, which a compiler could
  // not know to lie elsewhere.
  template <LatentCode code>
  ATTNLAB_BOTH void decode(int tile, int slot, char* codes, const char* scales, char* blocks) const {
    const int unit = lane % 16, column = slot * kSlotColumns + unit * kUnit, first = lane / 16;
    const int group = (column < R ? column : R - kUnit) * reciprocal >> 20, pitch = scale_pitch(c);
    char *from = codes + unit * kUnit, *block = blocks + (column / kColumnsOfBlock) * kBytesOfBlock;
    clear_behind(S - first_token(tile), first, from);
    ATTNLAB_UNROLL
    for (int turn = 0; turn < tokens / 2; turn += kAtOnce) {
      EightCodes eight[kAtOnce];
      float scale[kAtOnce];
      ATTNLAB_UNROLL
      for (int i = 0; i < kAtOnce; ++i) {
        const int token = 2 * (turn + i) + first;
        eight[i] = *reinterpret_cast<const EightCodes*>(from + token * kSlotColumns);
        scale[i] = Decode<code>::scale(scales + token * pitch, group);
      }
      ATTNLAB_UNROLL
      for (int i = 0; i < kAtOnce; ++i) {
        const int token = 2 * (turn + i) + first;
        *reinterpret_cast<EightBf16*>(block + place_in_block(warp * tokens + token, unit % 8)) =
            decode_unit<code>(eight[i], scale[i]);
      }
    }
  }

 private:
  // Behind the sequence's end there may be anything, NaN as well; this lane makes its own codes there zeros.
  ATTNLAB_BOTH void clear_behind(int left, int first, char* from) const {
    if (left >= tokens) return;
    for (int token = first; token < tokens; token += 2)
      if (token >= left) *reinterpret_cast<EightCodes*>(from + token * kSlotColumns) = {};
  }
};

}  // namespace attnlab::cuda::hopper
