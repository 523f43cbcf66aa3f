// The attention that TransMLA v1 (arXiv 2502.07864v1) converts GQA into, shared by its two initialisations and
// by care.h.
//
//   c_K = W_K x + b_K,  c_V = W_V x + b_V            latents, kept in the cache (before rotary)
//   K = U_K c_K,        V = U_V c_V                  each query head's own keys and values
//   o = softmax(RoPE(Q) RoPE(K)ᵀ / √H) V             rotary acts after the up-projection, and so do the norms
//                                                    of query and key heads where the base has them (Qwen3)
//
// Latents of R = G·H numbers each hold as much as GQA's keys and values; fewer may do. U_K and U_V are dense
// [N·H, R], so training may mix KV heads.
#pragma once

#include "attention/attention.h"
#include "attention/side_by_side.h"

namespace attnlab {

// Numbers per token of the two latents.
struct LatentWidths {
  int64_t keys = 0, values = 0;
};

class LatentAttention : public Attention, public SharesInputs {
 public:
  // With `absorb`, decoding reads values straight from the latent and
  // up-projects the weighted sum instead of every cached token: softmax(…) (c_V U_Vᵀ) = (softmax(…) c_V) U_Vᵀ.
  // For one new token that saves the factor H; a longer prompt would pay R / H times more for its T × S
  // products and hold them, so it takes the plain path. Keys can't be absorbed: rotary stands between U_K and
  // the scores.
  LatentAttention(const AttentionShape& shape, const LatentWidths& widths, bool absorb);

  StateLayout state_layout() const override;
  std::vector<SharedInput*> shared_inputs() override { return {&inputs_}; }

 protected:
  torch::Tensor attend(AttentionPass& pass) override;
  bool can_absorb() const override { return true; }

 private:
  torch::Tensor attend_absorbed(const AttentionPass& pass, const torch::Tensor& q_BNTH,
                                const torch::Tensor& k_BNSH, const torch::Tensor& latent_v_BSR);

  LatentWidths widths_;
  Linear q_proj_, k_proj_, v_proj_, k_up_proj_, v_up_proj_, o_proj_;
  SharedInput inputs_;  // keys, values, queries
  QkNorm norm_;
};

// As many numbers of each KV head in either latent.
inline LatentWidths per_kv_head(const AttentionShape& shape, int64_t rank) {
  return {.keys = shape.n_kv_heads * rank, .values = shape.n_kv_heads * rank};
}

// U = the 0/1 matrix [N·H, G·H] that repeats each KV head for its N / G query heads.
torch::Tensor repetition_matrix(const AttentionShape& shape, torch::TensorOptions options);

}  // namespace attnlab
