// What RWKV-4 has in the MLP's place (arXiv 2305.13048, section 3.2).
#pragma once

#include "model/mlp.h"

namespace attnlab {

// With x̄ the token before: σ(W_r (μ_r x + (1 - μ_r) x̄)) ⊙ W_v relu(W_k (μ_k x + (1 - μ_k) x̄))². The last
// token's input is kept in the layer's state (kChannelMixingSlot).
class ChannelMixing final : public Mlp {
 public:
  ChannelMixing(int64_t d_model, int64_t d_ff);
  torch::Tensor forward(const torch::Tensor& x_BTD) override;
  torch::Tensor forward_in(const torch::Tensor& x_BTD, const MixerInput& pass) override;
  double forward_flops_per_token() const override;

 private:
  torch::Tensor mixed(const torch::Tensor& x_BTD, const torch::Tensor& before_BTD);

  torch::Tensor mix_k_, mix_r_;
  Linear key_{nullptr}, value_{nullptr}, receptance_{nullptr};
};

}  // namespace attnlab
