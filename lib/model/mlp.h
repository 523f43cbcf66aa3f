// The two forms of a layer's MLP.
//
// M tokens, D d_model, E experts, k of them per token, N groups.
#pragma once

#include "attention/linear.h"
#include "attention/mixer.h"
#include "attention/side_by_side.h"
#include "model/model_form.h"
#include "tensor/torch.h"

namespace attnlab {

class Mlp : public torch::nn::Module {
 public:
  // [..., D] → [..., D].
  virtual torch::Tensor forward(const torch::Tensor& x) = 0;
  // The same in a pass [B, T, D], for those that look at the token before: sequence and state are the layer's.
  virtual torch::Tensor forward_in(const torch::Tensor& x_BTD, const MixerInput& /*pass*/) {
    return forward(x_BTD);
  }
  // Multiply-adds × 2 for one token.
  virtual double forward_flops_per_token() const = 0;
  // Whether a pass computed in this format on this device waits for numbers from it, so that it can't be
  // recorded.
  virtual bool reads_device(torch::Device /*device*/, torch::ScalarType /*computed*/) const { return false; }
  // Parameters that are never trained, by their names in it.
  virtual std::vector<std::string> fixed_parameters() const { return {}; }
};

// W_down (act(W_gate x) ∘ W_up x) (arXiv 2002.05202); with biases, each product has its own added.
class GatedMlp final : public Mlp, public SharesInputs {
 public:
  // The names of the three matrices: {"gate_proj", "up_proj", "down_proj"}, or Mixtral's {"w1", "w3", "w2"}.
  using Names = std::array<const char*, 3>;
  static constexpr Names kLlamaNames{"gate_proj", "up_proj", "down_proj"};
  static constexpr Names kMixtralNames{"w1", "w3", "w2"};

  // `d_out`: numbers of the output; 0: d_model.
  GatedMlp(int64_t d_model, int64_t d_ff, bool gelu, const Names& names = kLlamaNames, bool with_bias = false,
           int64_t d_out = 0);
  torch::Tensor forward(const torch::Tensor& x) override;
  double forward_flops_per_token() const override;
  // Those of gate, up and down.
  std::array<const LinearImpl*, 3> linears() const { return {gate_.get(), up_.get(), down_.get()}; }
  // None among experts.
  std::vector<SharedInput*> shared_inputs() override;
  // One of a mixture's experts, whose matrices lie beside the other experts' and not beside each other.
  void place_among_experts() { among_experts_ = true; }

 private:
  bool gelu_, among_experts_ = false;
  Linear gate_{nullptr}, up_{nullptr}, down_{nullptr};
  SharedInput gate_and_up_;
};

// Which experts a token goes through, and with what weights: see MoeShape. Parameters: weight [E, D] and, for
// the sigmoid, e_score_correction_bias [E], DeepSeek's name for a buffer that its training moves by the
// experts' loads and no gradient; here it stays as it is.
class Router final : public torch::nn::Module {
 public:
  // `in_float32`: logits, and parameters whatever `to` says, have at least that format (transformers 5.24:
  // DeepseekV2TopkRouter and DeepseekV3TopkRouter, _keep_in_fp32_modules_strict).
  Router(int64_t d_model, const MoeShape& moe, bool in_float32);
  struct Choice {
    torch::Tensor expert_Mk, weight_Mk;
  };
  Choice forward(const torch::Tensor& x_MD);
  using Module::to;
  void to(torch::Device device, torch::Dtype dtype, bool non_blocking = false) override;
  void to(torch::Dtype dtype, bool non_blocking = false) override;
  bool has_bias() const { return bias_.defined(); }

 private:
  torch::Tensor logits(const torch::Tensor& x_MD) const;
  torch::Tensor chosen_experts(const torch::Tensor& scores_ME) const;

  MoeShape moe_;
  bool in_float32_;
  torch::Tensor weight_, bias_;
};

// The experts that the router chooses, and the shared ones. Where the device has grouped products, their shares
// stay there (grouped_experts.h) and the experts' matrices come to lie side by side; elsewhere each call
// transfers E numbers to the host, and an expert that got no token has no gradient.
class MoeMlp final : public Mlp {
 public:
  MoeMlp(const DecoderConfig& config, int64_t width);
  torch::Tensor forward(const torch::Tensor& x) override;
  // The same in groups of rows, computed in x's format on any device.
  torch::Tensor forward_in_groups(const torch::Tensor& x);
  bool reads_device(torch::Device device, torch::ScalarType computed) const override;
  double forward_flops_per_token() const override;
  std::vector<std::string> fixed_parameters() const override;

 private:
  torch::Tensor one_by_one(const torch::Tensor& x_MD, const Router::Choice& choice);
  torch::Tensor in_groups(const torch::Tensor& x_MD, const Router::Choice& choice, torch::ScalarType computed);
  torch::Tensor with_shared(const torch::Tensor& x, const torch::Tensor& routed_MD);
  // Those of all experts in one place: 0 gate, 1 up, 2 down.
  std::vector<torch::Tensor> matrices(size_t place) const;

  MoeShape moe_;
  bool gelu_;
  std::shared_ptr<Router> gate_;
  std::vector<std::shared_ptr<GatedMlp>> experts_;
  std::shared_ptr<GatedMlp> shared_;  // null: none
};

// A layer's MLP, and the name that its tensors have in checkpoints.
struct NamedMlp {
  std::string name;
  std::shared_ptr<Mlp> mlp;
};
// Null where the family's layers have none.
NamedMlp make_mlp(const ModelForm& form, int64_t layer);

}  // namespace attnlab
