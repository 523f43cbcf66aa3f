// MHA2MLA (arXiv 2502.14837): rotary position kept by a few frequencies of each head alone, the rest of the
// keys compressed jointly with the values.
//
//   c = W_KVA x + b [R],   k_rope = W_KR x + b  [G, r]      c and RoPE(k_rope) are what the cache keeps
//   [k_nope, v] = W_KVB c                                   per KV head, [H - r] and [H]
//   [q_nope, q_rope] = W_Q x + b                            per query head; n reads KV head g = ⌊n G / N⌋
//   o_n = softmax((q_nope k_nopeᵀ + RoPE(q_rope) RoPE(k_rope)ᵀ) · scale) v_g
//
// Each KV head has frequencies of its own: the layer holds their places in the base's rotary table. With
// `absorb`, decoding moves W_KVB's key part into the query and its value part behind the sum, and reads the
// latent cache once. Cached: R + G·r numbers per token.
#pragma once

#include "attention/rope_selection.h"

namespace attnlab {

class Mha2Mla final : public Attention {
 public:
  static constexpr std::string_view kName = "mha2mla";
  struct Config {
    std::optional<int64_t> kv_lora_rank;
    std::optional<int64_t> qk_rope_head_dim;
    RopeSelect select = RopeSelect::norm;
    bool absorb = true;
    template <class Self, class Visitor>
    static void fields(Self& self, Visitor&& visit) {
      visit(Key{"kv_lora_rank", "latent numbers of keys and values; absent: all, which loses nothing"}.at_least(
                1),
            self.kv_lora_rank);
      visit(Key{"qk_rope_head_dim", "numbers of a head that keep rotary position, even; absent: half of them"}
                .at_least(2),
            self.qk_rope_head_dim);
      visit(Key{"select", "which frequencies keep it: norm, high or uniform"}, self.select);
      visit(Key{"absorb", "decode in the latent space"}, self.absorb);
    }
  };

  Mha2Mla(const AttentionShape& shape, const Config& config);
  // A rank above the full one, an odd rotary part or one wider than a head, or a base of which rotary can't be
  // taken.
  static std::optional<BadInput> problem(const AttentionShape& shape, const Config& config);
  // Without calibration: frequencies by the norms of weights.
  static TensorMap from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa);

  torch::Tensor forward(const AttentionInput& input) override;
  std::vector<CacheSlot> cache_layout() const override;
  std::vector<std::string> fixed_parameters() const override { return {"rope_frequency"}; }
  void set_absorb(bool absorb) { absorb_ = absorb; }

 private:
  // [B or 1, G, T, r / 2]: the table's columns of each KV head's frequencies.
  torch::Tensor of_heads(const torch::Tensor& table_BTH) const;
  // Rotary on x [B, G, heads, T, r] of each KV head.
  torch::Tensor turned(const torch::Tensor& x_BGMTr, const torch::Tensor& cos_BTH,
                       const torch::Tensor& sin_BTH) const;
  torch::Tensor attend_materialised(const torch::Tensor& q_BNTH, const torch::Tensor& latent_BSW,
                                    const torch::Tensor& mask_B1TS);
  torch::Tensor attend_absorbed(const torch::Tensor& q_nope, const torch::Tensor& q_rope,
                                const torch::Tensor& latent_BPW, int64_t S, const torch::Tensor& mask_B1TS);

  int64_t rank_, rope_;
  bool absorb_;
  ScoreForm score_;
  Linear q_proj_{nullptr}, kv_a_proj_{nullptr}, k_rope_proj_{nullptr}, kv_b_proj_{nullptr}, o_proj_{nullptr};
  torch::Tensor rope_frequency_;  // [G·r/2], whole numbers below H / 2; never trained
};

// r: numbers of a head that keep rotary position.
int64_t rope_dim_of(const AttentionShape& shape, const Mha2Mla::Config& config);
// Latent numbers of keys and values that lose nothing: G·(H - r) + G·H.
int64_t full_kv_rank(const AttentionShape& shape, const Mha2Mla::Config& config);

// The conversion in stages. First rotary is removed from all but the given frequencies [G, r/2]: the variant
// with this config's r at full rank.
TensorMap select_rope_layer(const AttentionShape& shape, const GqaWeights& gqa,
                            const torch::Tensor& frequencies);
struct JointSvdLayer {
  TensorMap tensors;
  double kv_energy_kept = 1;  // share of the squared singular values
};
// Then the SVD of [W_k_nope; W_v] (its bias as one column more) takes the latent's place, √S on both sides.
// `selected`: what select_rope_layer gave.
JointSvdLayer joint_svd_layer(const TensorMap& selected, int64_t kv_lora_rank);

}  // namespace attnlab
