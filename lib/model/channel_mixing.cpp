#include "model/channel_mixing.h"

#include "attention/native_recurrence.h"
#include "attention/recurrence.h"

namespace attnlab {

ChannelMixing::ChannelMixing(int64_t d_model, int64_t d_ff) {
  mix_k_ = register_parameter("time_mix_key", empty_parameter({1, 1, d_model}));
  mix_r_ = register_parameter("time_mix_receptance", empty_parameter({1, 1, d_model}));
  key_ = register_module("key", Linear(d_model, d_ff));
  receptance_ = register_module("receptance", Linear(d_model, d_model));
  value_ = register_module("value", Linear(d_ff, d_model));
}

torch::Tensor ChannelMixing::mixed(const torch::Tensor& x_BTD, const torch::Tensor& before_BTD) {
  const auto with = [&](const torch::Tensor& mu) { return x_BTD * mu + before_BTD * (1 - mu); };
  return torch::sigmoid(receptance_(with(mix_r_))) * value_(torch::relu(key_(with(mix_k_))).square());
}

torch::Tensor ChannelMixing::forward(const torch::Tensor& x_BTD) {
  return mixed(x_BTD, shifted(x_BTD, {}, {}));
}

torch::Tensor ChannelMixing::forward_in(const torch::Tensor& x_BTD, const MixerInput& pass) {
  const auto last = pass.state ? pass.state->fixed(kChannelMixingSlot) : torch::Tensor();
  if (pass.state) pass.state->replace(kChannelMixingSlot, x_BTD.narrow(1, x_BTD.size(1) - 1, 1));
  return mixed(x_BTD, shifted(x_BTD, last, Segments::of(*pass.sequence)));
}

double ChannelMixing::forward_flops_per_token() const {
  return 2.0 * static_cast<double>(key_->weight.numel() + value_->weight.numel() + receptance_->weight.numel());
}

}  // namespace attnlab
