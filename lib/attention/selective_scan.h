// The recurrence of Mamba (arXiv 2312.00752): each number of a state has a decay of its own.
//
// Shapes: B batch, N heads (1 in Mamba itself), G heads or fewer, T tokens, P channels of a head, S state
// numbers of a channel.
#pragma once

#include "attention/recurrence.h"
#include "tensor/torch.h"

namespace attnlab {

// h_t = exp(Δ_t A) ⊙ h_{t-1} + Δ_t x_t B_tᵀ [P, S],  y_t = h_t C_t + D ⊙ x_t. float32 or float64; x, B and C
// may be bfloat16, too. x and B may be those of fewer heads, G each of its own, which then are N / G heads'
// each. At padded places Δ is 0.
struct SelectiveScan {
  torch::Tensor x_BGTP, step_BNTP;  // Δ
  torch::Tensor A_NPS;              // negative
  torch::Tensor B_BGTS, C_BNTS;
  torch::Tensor D_NP;  // may be undefined
  torch::Tensor ids_BT;
  torch::Tensor state_BNPS;  // before the first token; undefined: 0
  bool raw_step = false;     // step is Δ in front of its softplus
};
struct SelectiveScanned {
  torch::Tensor y_BNTP, state_BNPS;
};

// Gives the scan the Δ that is softplus of this [B, N, T, P], 0 at padded places.
void set_step(SelectiveScan& scan, const torch::Tensor& raw_BNTP, const Segments& segments);

// On a GPU, in float32, with a kernel (kernels/scan.h). Else in chunks of L tokens: L steps, each for all
// chunks at once, from states 0; then the chunks' own states carried on (recurrence.h), and what they add.
SelectiveScanned selective_scan(const SelectiveScan& scan, int64_t L = 32);

}  // namespace attnlab
