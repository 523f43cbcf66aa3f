// The time mixing of RWKV-6 and RWKV-7 as mixers (rwkv6.h, rwkv7.h).
#pragma once

#include <vector>

#include "attention/attention.h"
#include "attention/wkv.h"
#include "kernels/rwkv_heads.h"

namespace attnlab {

// A pass's tokens with the one before each, of which mixes are made: x + (x̄ - x) ⊙ (μ_y + m_y) for each y, in
// the format of x. On a GPU several at once (kernels/token_mix.h).
class TokenShift {
 public:
  // `last` [B, 1, D] stands before the first token (undefined: 0).
  TokenShift(torch::Tensor x_BTD, const torch::Tensor& last_B1D, const Segments& segments);
  // m: undefined: 0.
  std::vector<torch::Tensor> mixed(const std::vector<torch::Tensor>& mu_D,
                                   const torch::Tensor& m_nBTD = {}) const;

 private:
  torch::Tensor x_BTD_, back_BTD_, begins_BT_;  // back: x̄ - x, undefined where a kernel mixes
};

// What both have: projections of GQA's names, the norm by head, a state and the token before.
class RwkvMixer : public Mixer {
 public:
  RwkvMixer(const AttentionShape& shape, double norm_eps);
  StateLayout state_layout() const override;
  double forward_flops_per_token(int64_t T) const override;

 protected:
  torch::Tensor mix(const MixerInput& input) override;
  // The pass on x, in the format of its products: [B, T, N·H] in front of W_O. `state` [B, N, H, H] is
  // replaced.
  virtual torch::Tensor heads_of(const TokenShift& x, const Segments& segments, torch::Tensor& state) = 0;
  // f(x W_in) W_out.
  template <class Between>
  static torch::Tensor through(const torch::Tensor& x_BTD, const torch::Tensor& in, const torch::Tensor& out,
                               const Between& between) {
    const int64_t missing = missing_rank(x_BTD, in.size(1));
    return torch::matmul(between(torch::matmul(x_BTD, padded_behind(in, 1, missing))),
                         padded_behind(out, 0, missing));
  }
  // How many numbers between two matrices a product of many tokens needs more: tensor cores take rows at
  // multiples of 16 bytes, and others are several times as slow.
  static int64_t missing_rank(const torch::Tensor& x_BTD, int64_t rank);
  // W x of one projection, repeated to query heads: [B, T, N·H].
  torch::Tensor projected(Linear& projection, const torch::Tensor& x_BTD);
  // [B, N, T, H]; zeros at padded places.
  torch::Tensor by_head(const torch::Tensor& x_BTW, const Segments& segments) const;
  torch::Tensor normed(const torch::Tensor& o_BNTH);  // [B, T, N·H]
  double norm_eps() const { return norm_eps_; }
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
  torch::Tensor heads_of(const TokenShift& x, const Segments& segments, torch::Tensor& state) override;

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
  torch::Tensor heads_of(const TokenShift& x, const Segments& segments, torch::Tensor& state) override;

 private:
  // What the recurrence takes of keys and the lora parts of w and α.
  Wkv7Prepared prepared(const torch::Tensor& own_k_BTW, const torch::Tensor& w_lora_BTW,
                        const torch::Tensor& a_lora_BTW) const;
  // (GroupNorm(o) + (Σ_head r k r_k) v) ⊙ g.
  torch::Tensor output(const torch::Tensor& o_BNTH, const torch::Tensor& r_BTW, const torch::Tensor& k_BTW,
                       const torch::Tensor& v_BTW, const torch::Tensor& gate_BTW);

  torch::Tensor x_r_, x_w_, x_k_, x_v_, x_a_, x_g_, w0_, w1_, w2_, a0_, a1_, a2_, g1_, g2_, v0_, v1_, v2_, k_k_,
      k_a_, r_k_;
  torch::Tensor first_BTW_, values_BTW_;
};

}  // namespace attnlab
