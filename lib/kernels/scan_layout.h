// What the kernels of Mamba's recurrence are told (cuda_kernels.h). Without CUDA, so that their source can be
// compiled for CPUs, too.
#pragma once

#include <cstdint>

#include "kernels/wkv_layout.h"

namespace attnlab::cuda {

constexpr int kScanThreads = 256;
constexpr int kScanStage = 16;  // tokens between two states that are kept for the backward pass
constexpr int64_t kMostScanNumbers = 256;

// Channels of a block. Some threads have all S numbers of a channel, 4 or 8 each.
constexpr int64_t scan_block(int64_t S) {
  return S <= 16 ? 128 : S <= 32 ? 64 : S <= 64 ? 32 : S <= 128 ? 16 : 8;
}

// T tokens of each of B · N heads of P channels with S numbers each, S ≤ 256, cut into `parts` of `length`
// tokens (the last has what is left), apart from each other.
struct ScanSizes {
  int64_t B, N, parts, T, length, P, S;
  int64_t heads_x, heads_B;  // N or fewer, which then are N / heads_x heads' each
  int64_t begins_b;          // stride of `begins`: T, or 0 for one row

  int64_t blocks() const { return (P + scan_block(S) - 1) / scan_block(S); }  // of a part
  int64_t all_blocks() const { return B * N * parts * blocks(); }
  // Numbers that the forward pass keeps for the backward one.
  int64_t stored() const { return all_blocks() * ((length + kScanStage - 1) / kScanStage) * kScanThreads * 8; }
};
struct ScanInputs {
  HeadsIn x, step;     // [B, heads_x or N, T, P]
  bool raw_step;       // step is Δ in front of its softplus
  HeadsIn B, C;        // [B, heads_B or N, T, S]
  const float* A;      // [N, P, S]
  const float* D;      // [N, P]: y has D x, too; null: 0
  const bool* begins;  // [B or 1, T]: a document begins; null: none
  const float* first;  // h before the parts, [B, N, parts, P, S]; null: 0
};
struct ScanResults {
  HeadsOut y;     // null: not wanted
  float* stored;  // null: no backward pass
  float* last;    // h behind the parts, [B, N, parts, P, S]
};
struct ScanUpstream {
  const float* stored;
  HeadsIn dy;
  const float* dlast;  // null where nothing depends on it
};
// Of x and step for each of N heads [B, N, T, P]; of B and C, what each block of channels adds, [B, T, N,
// blocks(), S] (C: null where dy is); of A, D and first [B, N, parts, …] (D, first: may be null).
struct ScanGradients {
  HeadsOut x, step;
  float *B, *C, *A, *D, *first;
};

}  // namespace attnlab::cuda
