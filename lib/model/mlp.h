// The two forms of a layer's MLP.
#pragma once

#include "attention/linear.h"
#include "model/decoder_config.h"
#include "tensor/torch.h"

namespace attnlab {

class Mlp : public torch::nn::Module {
 public:
  // [..., D] → [..., D].
  virtual torch::Tensor forward(const torch::Tensor& x) = 0;
  // Multiply-adds × 2 for one token.
  virtual double forward_flops_per_token() const = 0;
};

// W_down (act(W_gate x) ∘ W_up x) (arXiv 2002.05202); with biases, each product has its own added.
class GatedMlp final : public Mlp {
 public:
  // The names of the three matrices: {"gate_proj", "up_proj", "down_proj"}, or Mixtral's {"w1", "w3", "w2"}.
  using Names = std::array<const char*, 3>;
  static constexpr Names kLlamaNames{"gate_proj", "up_proj", "down_proj"};
  static constexpr Names kMixtralNames{"w1", "w3", "w2"};

  GatedMlp(int64_t d_model, int64_t d_ff, bool gelu, const Names& names = kLlamaNames, bool with_bias = false);
  torch::Tensor forward(const torch::Tensor& x) override;
  double forward_flops_per_token() const override;

 private:
  bool gelu_;
  Linear gate_{nullptr}, up_{nullptr}, down_{nullptr};
};

// Σ over the k likeliest experts of p_e / Σp · expert_e(x), p = softmax(W_gate x) (Mixtral, arXiv 2401.04088).
class MoeMlp final : public Mlp {
 public:
  explicit MoeMlp(const DecoderConfig& config);
  // One transfer of E numbers from the device for each call: the experts' shares.
  torch::Tensor forward(const torch::Tensor& x) override;
  double forward_flops_per_token() const override;

 private:
  int64_t chosen_;
  Linear gate_{nullptr};
  std::vector<std::shared_ptr<GatedMlp>> experts_;
};

// The layer's MLP, registered in `layer` under the name that its tensors have in checkpoints.
std::shared_ptr<Mlp> register_mlp(torch::nn::Module& layer, const DecoderConfig& config);

}  // namespace attnlab
