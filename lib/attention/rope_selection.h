// Which rotary frequencies of each KV head keep rotary position where it is removed from the others (MHA2MLA,
// arXiv 2502.14837, section 3.1).
//
// Shapes: P tokens, N query heads, G KV heads, H head_dim, h = H / 2 frequencies; frequency i turns the pair of
// numbers (i, i + h). r numbers of a head keep rotary position: r / 2 frequencies.
#pragma once

#include "attention/gqa_weights.h"
#include "attention/mha2mla.h"
#include "tensor/torch.h"

namespace attnlab {

// Both [G, h], float64.
struct PairStrengths {
  torch::Tensor products;  // Σ_n ‖q_pair‖ ‖k_pair‖ over the KV head's query heads: what its scores can hold
  torch::Tensor energies;  // ‖k_pair‖²
};
// Sums over tokens, of queries [P, N·H] and keys [P, G·H] before rotary.
PairStrengths token_strengths(const AttentionShape& shape, const torch::Tensor& q_PX,
                              const torch::Tensor& k_PX);
// The same of weights, whose norms stand for those of tokens.
PairStrengths weight_strengths(const AttentionShape& shape, const GqaWeights& gqa);

// [G, r / 2] int64 on the CPU, ascending. Of equal products the faster frequency is taken.
torch::Tensor select_frequencies(const AttentionShape& shape, int64_t r, RopeSelect select,
                                 const torch::Tensor& products_Gh);

// [G, H] int64: each head's numbers in their new order, those without rotary first, then the selected pairs'
// first numbers and their second ones.
torch::Tensor selected_last_order(const AttentionShape& shape, const torch::Tensor& frequencies);

}  // namespace attnlab
