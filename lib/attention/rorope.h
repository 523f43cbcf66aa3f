// RoRoPE and FreqFold (TransMLA, arXiv 2502.07864v5, sections 4.1 to 4.3): keys are rotated across KV heads,
// frequency by frequency, so that their energy gathers in few numbers, which keep rotary position; the rest
// loses it.
//
// G KV heads of H numbers: H/2 cosine partners, then H/2 sine partners. m (freqfold) neighbouring frequencies
// form a band and are taken as one; band b holds G·m numbers of each half. For a rotation U of a band that is
// the same for both halves,
//   RoPE(q)·RoPE(k) = RoPE(U q)·RoPE(U k)
// if all numbers of the band turn alike: exactly for m = 1.
#pragma once

#include <cstdint>

#include "tensor/torch.h"

namespace attnlab {

struct RopeFold {
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t freqfold = 1;  // m: divides H/2
  int64_t collapse = 1;  // c: divides m; H/c numbers keep rotary position

  int64_t rope_dim() const { return head_dim / collapse; }
  int64_t bands() const { return head_dim / (2 * freqfold); }
};

// Σ over halves of the second moment of keys [G·H, G·H] (before rotary) → [G·H/2, G·H/2], over (head,
// frequency). The moments of all bands of any m are blocks of it.
torch::Tensor fold_halves(const torch::Tensor& key_moment, const RopeFold& fold);

// The rotation P [G·H, G·H], orthogonal: P k are the rotated keys, still as G heads of two halves. The p-th
// strongest number of band b stands in head ⌊p / m⌋ at frequency b·m + p mod m. `folded`: fold_halves of the
// moment. Eigenvectors of (moment + 0.01 · mean(diagonal) · I), largest first.
torch::Tensor rorope_rotation(const torch::Tensor& folded, const RopeFold& fold);

// Where the numbers of P k go: the first rope_dim() rows are those that keep rotary position, the two partners
// of a frequency side by side (DeepSeek's layout), frequencies 0, c, 2c, …: the m/c strongest of each band.
// Then the next m/c of each band, and so on. [G·H] int64.
torch::Tensor rope_first_order(const RopeFold& fold);

}  // namespace attnlab
