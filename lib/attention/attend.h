// The pieces that variants share: softmax attention over heads.
#pragma once

#include "attention/rotary.h"
#include "attention/shape.h"
#include "tensor/torch.h"

namespace attnlab {

// [B, T, heads·H] → [B, heads, T, H], a view.
torch::Tensor split_heads(const torch::Tensor& x_BTW, int64_t heads);
// [B, heads, T, H] → [B, T, heads·H].
torch::Tensor merge_heads(const torch::Tensor& x_BNTH);

// What q·k is multiplied by: the form's own scale, or 1 / √head_dim.
double score_scale(const ScoreForm& form, int64_t head_dim);

// What is known of a mask without reading it, so that keys which no query of a block sees are passed over. The
// last query stands in the last key's column.
struct Reach {
  bool causal = false;  // no query sees a column behind its own
  int64_t window = 0;   // with causal: nor one of more than window - 1 columns before it; 0: any
};

// softmax(score(q, k)) v with G KV heads shared by N / G query heads each; result [B, N, T, Hv].
// An undefined mask is causal for T = S and open for T = 1; others are bool [B or 1, (1, G or N), T, S], true
// where a query may look. No T × S matrix is held.
torch::Tensor attend(const torch::Tensor& q_BNTH, const torch::Tensor& k_BGSH, const torch::Tensor& v_BGSH,
                     const torch::Tensor& mask_B1TS, const ScoreForm& form = {}, const Reach& reach = {});

// softmax(score(q, k)) as a matrix [B, N, T, S]; for paths that need the weights themselves.
torch::Tensor attention_weights(const torch::Tensor& q_BNTH, const torch::Tensor& k_BGSH,
                                const torch::Tensor& mask_B1TS, const ScoreForm& form = {});

}  // namespace attnlab
