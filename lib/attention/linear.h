// The two modules that every layer is made of. Their parameters hold no values until weights are loaded: a
// model of many gigabytes is built without touching its memory.
#pragma once

#include <torch/torch.h>

namespace attnlab {

// y = x Wᵀ + b, W [out, in].
class LinearImpl : public torch::nn::Module {
 public:
  LinearImpl(int64_t in, int64_t out, bool with_bias = false)
      : weight(register_parameter("weight", torch::empty({out, in}))) {
    if (with_bias) bias = register_parameter("bias", torch::empty({out}));
  }
  torch::Tensor forward(const torch::Tensor& x) { return torch::linear(x, weight, bias); }

  torch::Tensor weight, bias;
};
TORCH_MODULE(Linear);

// x / √(mean(x²) + eps) · weight over the last dimension (arXiv 1910.07467); with `plus_one`, times 1 + weight
// (Gemma's form).
class RmsNormImpl : public torch::nn::Module {
 public:
  RmsNormImpl(int64_t width, double eps, bool plus_one = false)
      : weight(register_parameter("weight", torch::empty({width}))), eps_(eps), plus_one_(plus_one) {}
  torch::Tensor forward(const torch::Tensor& x) {
    return at::rms_norm(x, weight.sizes(), plus_one_ ? weight + 1 : weight, eps_);
  }

  torch::Tensor weight;

 private:
  double eps_;
  bool plus_one_;
};
TORCH_MODULE(RmsNorm);

}  // namespace attnlab
