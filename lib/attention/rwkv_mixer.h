// The time mixing of RWKV-6 and RWKV-7 as mixers (rwkv6.h, rwkv7.h).
#pragma once

#include "attention/attention.h"
#include "attention/wkv.h"

namespace attnlab {

// What both have: projections of GQA's names, the norm by head, a state and the token before.
class RwkvMixer : public Mixer {
 public:
  RwkvMixer(const AttentionShape& shape, double norm_eps);
  StateLayout state_layout() const override;
  double forward_flops_per_token(int64_t T) const override;

 protected:
  torch::Tensor mix(const MixerInput& input) override;
  // The pass on x, in the format of its products: [B, T, N·H] in front of W_O, in full precision. `state` [B,
  // N, H, H] is replaced.
  virtual torch::Tensor heads_of(const torch::Tensor& x_BTD, const torch::Tensor& before_BTD,
                                 const Segments& segments, torch::Tensor& state) = 0;
  // x + back ⊙ μ, in the format of x.
  static torch::Tensor mixed(const torch::Tensor& x_BTD, const torch::Tensor& back_BTD,
                             const torch::Tensor& mu) {
    return torch::addcmul(x_BTD, back_BTD, mu.to(x_BTD.scalar_type()));
  }
  // f(x W_in) W_out.
  template <class Between>
  static torch::Tensor through(const torch::Tensor& x_BTD, const torch::Tensor& in, const torch::Tensor& out,
                               const Between& between) {
    return torch::matmul(between(torch::matmul(x_BTD, in)), out);
  }
  // W x of one projection, repeated to query heads: [B, T, N·H].
  torch::Tensor projected(Linear& projection, const torch::Tensor& x_BTD);
  // [B, N, T, H]; zeros at padded places.
  torch::Tensor by_head(const torch::Tensor& x_BTW, const Segments& segments) const;
  torch::Tensor normed(const torch::Tensor& o_BNTH);  // [B, T, N·H]
  torch::Tensor vector(const char* name, int64_t width) {
    return register_parameter(name, empty_parameter({width}));
  }
  torch::Tensor matrix(const char* name, int64_t in, int64_t out) {
    return register_parameter(name, empty_parameter({in, out}));
  }

  Linear q_proj_{nullptr}, k_proj_{nullptr}, v_proj_{nullptr}, o_proj_{nullptr};
  torch::Tensor norm_weight_, norm_bias_;

 private:
  double norm_eps_;
};

struct Rwkv6Form {
  int64_t mix_rank = 32, decay_rank = 64;
  bool gate_bias = true;
  double norm_divisor = 8;  // head_size_divisor: the norm's epsilon is 1e-5 times its square
};
class Rwkv6Mixer final : public RwkvMixer {
 public:
  Rwkv6Mixer(const AttentionShape& shape, const Rwkv6Form& form);
  std::vector<std::string> query_and_output_parts() const override {
    return {"q_proj", "gate_proj", "mu_r", "mu_g", "norm_weight", "norm_bias", "o_proj"};
  }

 protected:
  torch::Tensor heads_of(const torch::Tensor& x_BTD, const torch::Tensor& before_BTD, const Segments& segments,
                         torch::Tensor& state) override;

 private:
  Linear gate_proj_{nullptr};
  torch::Tensor mu_x_, mu_w_, mu_k_, mu_v_, mu_r_, mu_g_, mix_in_, mix_out_, decay_, decay_in_, decay_out_, u_;
};

struct Rwkv7Form {
  int64_t w_rank = 32, a_rank = 32, g_rank = 32;
  int64_t v_rank = 0;  // of the mixing with layer 0's values; 0: none
};
class Rwkv7Mixer final : public RwkvMixer {
 public:
  Rwkv7Mixer(const AttentionShape& shape, const Rwkv7Form& form);
  std::vector<std::string> query_and_output_parts() const override {
    return {"q_proj", "x_r", "x_g", "g1", "g2", "r_k", "norm_weight", "norm_bias", "o_proj"};
  }
  // Layer 0's values, [B, T, N·H], that the next pass mixes its own with.
  void mix_with(torch::Tensor first_BTW) { first_BTW_ = std::move(first_BTW); }
  // This layer's own values in the last pass.
  const torch::Tensor& values() const { return values_BTW_; }

 protected:
  torch::Tensor heads_of(const torch::Tensor& x_BTD, const torch::Tensor& before_BTD, const Segments& segments,
                         torch::Tensor& state) override;

 private:
  torch::Tensor x_r_, x_w_, x_k_, x_v_, x_a_, x_g_, w0_, w1_, w2_, a0_, a1_, a2_, g1_, g2_, v0_, v1_, v2_, k_k_,
      k_a_, r_k_;
  torch::Tensor first_BTW_, values_BTW_;
};

}  // namespace attnlab
