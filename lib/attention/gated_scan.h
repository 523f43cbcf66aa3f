// The recurrence of linear attention (arXiv 2006.16236) and Mamba-2 (arXiv 2405.21060):
//   S_t = exp(g_t) S_{t-1} + k_t v_tᵀ,   o_t = S_tᵀ q_t
//
// Shapes: G heads that keep a state, M query heads that read the same state, F features, P numbers of a value.
#pragma once

#include <cstdint>

#include "attention/recurrence.h"
#include "tensor/torch.h"

namespace attnlab {

// float32 or float64; at padded places k, v and g are 0.
struct GatedScan {
  torch::Tensor q_BGMTF, k_BGTF, v_BGTP;
  torch::Tensor log_decay_BGT;  // g ≤ 0; undefined: nothing decays
  torch::Tensor ids_BT;         // Segments
  torch::Tensor state_BGFP;     // before the first token; undefined: 0
};
struct Scanned {
  torch::Tensor o_BGMTP, state_BGFP;
};

// One token: the recurrence itself. Several: in chunks of L tokens (arXiv 2405.21060, section 6),
//   o = (q e^{cum}) S_before + (tril(q kᵀ) ⊙ e^{cum_i - cum_j}) v
// which is made of matrix products and holds T · L scores.
Scanned gated_scan(const GatedScan& scan, int64_t L = 64);

// Σ_t multiply-adds × 2 of one head and token at a query head's share: scores and their sums within a chunk,
// and the state's update and reading.
double scan_flops(int64_t F, int64_t P, int64_t T, int64_t L = 64);

// Linear attention with normaliser: o_t = S_tᵀ q_t / (z_tᵀ q_t + eps) with z the same recurrence for values
// of 1. The state's last column is z: [B, G, F, P + 1].
Scanned normalised_scan(GatedScan scan, double eps, int64_t L = 64);

}  // namespace attnlab
