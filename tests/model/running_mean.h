// A mixer for tests that keeps a state of fixed size: y_t = W_o · mean of W_v x over the document so far.
#pragma once

#include "attention/gqa.h"
#include "attention/linear.h"
#include "attention/mixer.h"
#include "small_decoder.h"

namespace attnlab::test {

class RunningMean final : public Mixer {
 public:
  explicit RunningMean(const AttentionShape& shape) : Mixer(shape) {
    v_proj_ = register_module("v_proj", Linear(shape.d_model, shape.d_model));
    o_proj_ = register_module("o_proj", Linear(shape.d_model, shape.d_model));
  }

  StateLayout state_layout() const override {
    return {{.name = "sum", .width = shape_.d_model, .extent = Extent::fixed},
            {.name = "count", .width = 1, .extent = Extent::fixed}};
  }
  double forward_flops_per_token(int64_t) const override { return matrix_flops(); }
  std::vector<std::string> query_and_output_parts() const override { return {"o_proj"}; }

 protected:
  // Token by token: sums start anew where a document does, and padding adds nothing.
  torch::Tensor mix(const MixerInput& input) override {
    const auto v_BTD = v_proj_(input.x_BTD);
    const auto valid = input.sequence->valid_BT(), starts = input.sequence->starts_BT();
    const int64_t B = v_BTD.size(0), T = v_BTD.size(1);
    auto sum_BD = input.state ? input.state->fixed(0).squeeze(1).to(v_BTD.scalar_type())
                              : torch::zeros({B, shape_.d_model}, v_BTD.options());
    auto count_B1 = input.state ? input.state->fixed(1).squeeze(1).to(v_BTD.scalar_type())
                                : torch::zeros({B, 1}, v_BTD.options());
    std::vector<torch::Tensor> means;
    for (int64_t t = 0; t < T; ++t) {
      const auto at = [&](const torch::Tensor& flags_BT) {
        return flags_BT.select(1, t).unsqueeze(1).to(v_BTD.scalar_type());
      };
      const auto keeps = starts.defined() ? 1 - at(starts) : torch::ones({1, 1}, v_BTD.options());
      const auto adds = valid.defined() ? at(valid) : torch::ones({1, 1}, v_BTD.options());
      sum_BD = keeps * sum_BD + adds * v_BTD.select(1, t);
      count_B1 = keeps * count_B1 + adds;
      means.push_back(sum_BD / count_B1.clamp_min(1));
    }
    if (input.state) {
      input.state->replace(0, sum_BD.unsqueeze(1));
      input.state->replace(1, count_B1.expand({B, 1}).unsqueeze(1));
    }
    return o_proj_(torch::stack(means, 1));
  }

 private:
  Linear v_proj_{nullptr}, o_proj_{nullptr};
};

// A decoder whose last layer is attention, so that states of both kinds stand side by side, and whose others
// are running means.
inline std::shared_ptr<Decoder> mean_decoder(const DecoderConfig& config, uint64_t seed = 5) {
  const auto mixers = [&](int64_t layer) -> std::shared_ptr<Mixer> {
    if (layer + 1 == config.n_layers) return make_mixer(config.attention_shape(layer), Gqa::Config{});
    return std::make_shared<RunningMean>(config.attention_shape(layer));
  };
  auto decoder = std::make_shared<Decoder>(native_form(config), mixers);
  torch::manual_seed(seed);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : decoder->named_parameters()) {
    parameter.value().normal_(0, 0.3);
    if (parameter.key().ends_with("norm.weight")) parameter.value().add_(1);
  }
  return decoder;
}

}  // namespace attnlab::test
