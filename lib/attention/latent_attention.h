// The attention that TransMLA v1 (arXiv 2502.07864v1) converts GQA into, shared by its two initialisations.
//
//   c_K = W_K x + b_K,  c_V = W_V x + b_V            latents, kept in the cache (before rotary)
//   K = U_K c_K,        V = U_V c_V                  each query head's own keys and values
//   o = softmax(RoPE(Q) RoPE(K)ᵀ / √H) V             rotary acts after the up-projection, and so do the norms
//                                                    of query and key heads where the base has them (Qwen3)
//
// The latents hold as many numbers as GQA's keys and values: R = G·rank for each of the two. U_K and U_V are
// dense [N·H, G·rank], so training may mix KV heads.
#pragma once

#include "attention/attention.h"

namespace attnlab {

class LatentAttention : public Attention {
 public:
  // `rank` numbers per KV head and latent. With `absorb`, decoding reads values straight from the latent and
  // up-projects the weighted sum instead of every cached token: softmax(…) (c_V U_Vᵀ) = (softmax(…) c_V) U_Vᵀ.
  // For one new token that saves the factor H; a longer prompt would pay R / H times more for its T × S
  // products and hold them, so it takes the plain path. Keys can't be absorbed: rotary stands between U_K and
  // the scores.
  LatentAttention(const AttentionShape& shape, int64_t rank, bool absorb);

  torch::Tensor forward(const AttentionInput& input) override;
  std::vector<CacheSlot> cache_layout() const override;
  // Chooses the path for decoding; the result is the same up to rounding.
  void set_absorb(bool absorb) { absorb_ = absorb; }

 private:
  torch::Tensor attend_absorbed(const torch::Tensor& q_BNTH, const torch::Tensor& k_BNSH,
                                const torch::Tensor& latent_v_BSR, const torch::Tensor& mask_B1TS);

  int64_t rank_;
  bool absorb_;
  Linear q_proj_, k_proj_, v_proj_, k_up_proj_, v_up_proj_, o_proj_;
  QkNorm norm_;
};

// U = the 0/1 matrix [N·H, G·H] that repeats each KV head for its N / G query heads.
torch::Tensor repetition_matrix(const AttentionShape& shape, torch::TensorOptions options);

}  // namespace attnlab
