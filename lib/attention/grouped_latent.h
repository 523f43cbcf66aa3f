// Attention over latents that groups of heads share: GLA (arXiv 2505.21487) and GQLA (arXiv 2605.15250) are
// made of this layer (gla.h, gqla.h).
//
//   [c_1 … c_h, k_r] = W_KVA x,   c_j ← norm(c_j)       h latents of w numbers, k_r of r for all heads
//   [q_nope, q_rope]_n = W_Q x   or   W_QB norm(W_QA x)
//   [k, v]_u = W_KVB,u c_j        for U up-projected heads, j = ⌊u h / U⌋
//   o_n = softmax(scale (q_nope k_uᵀ + RoPE(q_rope) RoPE(k_r)ᵀ)) v_u,   u = ⌊n U / N⌋
//
// With `absorb`, decoding moves W_KVB into query and output, and a latent is read as one KV head of w + r
// numbers. Where groups are kept, k_u and v_u are cached in place of the latents.
#pragma once

#include "attention/attention.h"
#include "attention/gla.h"
#include "attention/gqla.h"
#include "attention/shared_rotary.h"

namespace attnlab {

struct GroupedLatentForm {
  int64_t latents = 1, width = 0, rope = 0;
  int64_t up_heads = 1;     // U: divides n_heads, a multiple of latents
  int64_t q_lora_rank = 0;  // 0: queries are not compressed
  bool norms = false;       // RMS norm of each latent by itself, and of the queries'
  bool q_a_bias = false, q_bias = false, kv_a_bias = false, kv_b_bias = false, o_bias = false;
  GqlaDecode keeps = GqlaDecode::latent;
};

// What decodes faster, latent or groups (never automatic): experiments/forms has the measurements.
GqlaDecode faster_decode(const AttentionShape& shape, const GroupedLatentForm& form, bool on_gpu);

class GroupedLatentAttention final : public Attention {
 public:
  GroupedLatentAttention(const AttentionShape& shape, const GroupedLatentForm& form, bool absorb);

  // Where the choice is left open, as the latent, which is smaller.
  StateLayout state_layout() const override { return layout_of(form_.keeps); }
  StateLayout state_layout_on(torch::Device device) const override;
  std::vector<std::string> query_and_output_parts() const override {
    return {"q_proj", "q_a_proj", "q_a_layernorm", "q_b_proj", "o_proj"};
  }

 protected:
  torch::Tensor attend(AttentionPass& pass) override;
  bool can_absorb() const override { return form_.keeps != GqlaDecode::groups; }
  int64_t pair_width() const override { return shape_.n_heads * (2 * shape_.head_dim + form_.rope); }

 private:
  StateLayout layout_of(GqlaDecode keeps) const;
  torch::Tensor queries(const torch::Tensor& x_BTD);
  torch::Tensor latents(const torch::Tensor& c_BTW);
  // Keys and values of the up-projected heads, [B, U, S, H] each.
  std::vector<torch::Tensor> up(const torch::Tensor& c_BSW);
  torch::Tensor attend_groups(AttentionPass& pass, const std::vector<torch::Tensor>& q_BNTx,
                              const torch::Tensor& c_BTW, const torch::Tensor& k_rope_B1Tr);
  torch::Tensor attend_latents(AttentionPass& pass, const std::vector<torch::Tensor>& q_BNTx,
                               const torch::Tensor& c_BTW, const torch::Tensor& k_rope_B1Tr);
  torch::Tensor attend_heads(const AttentionPass& pass, const torch::Tensor& q_BNTH,
                             const torch::Tensor& k_BUSH, const torch::Tensor& v_BUSH,
                             const torch::Tensor& k_rope_B1Sr);
  // With one latent all is in the pass: c and k_rope are undefined.
  torch::Tensor attend_absorbed(const AttentionPass& pass, const std::vector<torch::Tensor>& q_BN1x,
                                const torch::Tensor& c_BSW, const torch::Tensor& k_rope_B1Sr);

  GroupedLatentForm form_;
  ScoreForm score_;
  Linear q_proj_{nullptr}, q_a_proj_{nullptr}, q_b_proj_{nullptr};
  Linear kv_a_proj_{nullptr}, kv_b_proj_{nullptr}, o_proj_{nullptr};
  RmsNorm q_a_norm_{nullptr}, kv_a_norm_{nullptr};
};

// The layer's start from GQA: rotary gathered (shared_rotary.h), then per latent the leading principal
// directions of its KV heads' [nope key; value] over the inputs. `lost`: each latent's discarded share of their
// energy.
struct GroupedLatents {
  TensorMap tensors;
  std::vector<double> lost;
  double rope_energy = 0;
};
GroupedLatents grouped_latents(const AttentionShape& shape, const GroupedLatentForm& form,
                               const GqaWeights& gqa, const GatheredRotary& rotary, const SecondMoment& moment);

GroupedLatents gla_from_moments(const AttentionShape& shape, const Gla::Config& config, const GqaWeights& gqa,
                                const SecondMoment& moment);
GroupedLatents gqla_from_moments(const AttentionShape& shape, const Gqla::Config& config, const GqaWeights& gqa,
                                 const SecondMoment& moment);

}  // namespace attnlab
