// MLA in DeepSeek's form (DeepSeek-V2, arXiv 2405.04434, section 2.1), with the parameter names of its
// checkpoints: the attention of DeepSeek bases (deepseek_mla.h) and of GQA bases that were converted
// (mla_deepseek.h).
//
//   [c, k_rope] = W_KVA x,  c ← norm(c)               c [R] and RoPE(k_rope) are what the cache keeps
//   [q_nope, q_rope] = W_Q x   or   W_QB norm(W_QA x)   per head
//   [k_nope, v] = W_KVB c                             per head
//   o = softmax(scale (q_nope k_nopeᵀ + RoPE(q_rope) RoPE(k_rope)ᵀ)) v
//
// scale: 1/√(nope + rope), times YaRN's factor where the base has one (RopeScaling::mla_score_factor).
//
// k_rope is shared by all heads, so rotary does not stand between W_KVB and the scores: with `absorb`, decoding
// moves W_KVB's key part into the query and its value part behind the sum, and reads the latent cache once, as
// multi-query attention with one head of R + rope numbers.
#pragma once

#include "attention/attention.h"
#include "attention/side_by_side.h"

namespace attnlab {

// What the two variants differ in beside their sizes.
struct DeepseekForm {
  MlaShape sizes;
  bool q_a_bias = false, q_bias = false;  // q_bias: of q_proj, or of q_b_proj where queries are compressed
  bool kv_a_bias = false;
  bool o_bias = false;
  bool norms = true;  // RMS norms of the latents
  ScoreForm score;    // scale 0: 1/√(nope + rope)
};

class DeepseekAttention : public Attention, public SharesInputs {
 public:
  DeepseekAttention(const AttentionShape& shape, const DeepseekForm& form, bool absorb);

  StateLayout state_layout() const override;
  std::vector<std::string> query_and_output_parts() const override {
    return {"q_proj", "q_a_proj", "q_a_layernorm", "q_b_proj", "o_proj"};
  }
  std::vector<SharedInput*> shared_inputs() override { return {&inputs_}; }

 protected:
  torch::Tensor attend(AttentionPass& pass) override;
  bool can_absorb() const override { return true; }
  int64_t pair_width() const override;

 private:
  // Of q_proj's or q_a_proj's output: [B, T, N·(nope + rope)], before rotary.
  torch::Tensor queries(const torch::Tensor& projected_BTQ);
  // W_UK and W_UV per head.
  std::vector<torch::Tensor> up_projections(torch::ScalarType dtype) const;
  // attend_absorbed with what stands before it, in few kernels: [B, 1, N·v], undefined where there are none.
  torch::Tensor attend_in_few(AttentionPass& pass, const torch::Tensor& q_BN1H, const torch::Tensor& kv_B1W);
  // Without a state, of q and [c, k_rope] as projected, in few kernels: [B, T, N·v], undefined where there are
  // none.
  torch::Tensor attend_all_new(const AttentionPass& pass, const torch::Tensor& q_BTQ,
                               const torch::Tensor& kv_BTW);
  torch::Tensor attend_absorbed(const AttentionPass& pass, const torch::Tensor& q_nope_BN1H,
                                const torch::Tensor& q_rope_BN1H);
  torch::Tensor attend_materialised(const AttentionPass& pass, const torch::Tensor& q_BNTH,
                                    const torch::Tensor& latent_BSW);

  MlaShape mla_;
  ScoreForm score_;
  Linear q_proj_{nullptr}, q_a_proj_{nullptr}, q_b_proj_{nullptr};  // the first, or the other two
  Linear kv_a_proj_{nullptr}, kv_b_proj_{nullptr}, o_proj_{nullptr};
  RmsNorm q_a_norm_{nullptr}, kv_a_norm_{nullptr};  // null without norms
  SharedInput inputs_;                              // queries, or their latent, and [c, k_rope]
};

}  // namespace attnlab
