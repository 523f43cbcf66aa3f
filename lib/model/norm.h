// The norms of the residual stream.
#pragma once

#include "attention/linear.h"
#include "kernels/fused.h"

namespace attnlab {

enum class NormKind {
  rms,
  rms_plus_one,  // times 1 + weight (Gemma's)
  layer,         // less the mean, with a bias (arXiv 1607.06450)
};

// Parameters: weight and, for `layer`, bias.
class NormImpl : public torch::nn::Module {
 public:
  NormImpl(int64_t width, double eps, NormKind kind)
      : weight(register_parameter("weight", empty_parameter({width}))), eps_(eps), kind_(kind) {
    if (kind == NormKind::layer) bias = register_parameter("bias", empty_parameter({width}));
  }
  torch::Tensor forward(const torch::Tensor& x) const { return of_sum(x, {}).normed; }
  // x + added and its norm (kernels/fused.h).
  NormedStream of_sum(const torch::Tensor& x, const torch::Tensor& added) const;

  torch::Tensor weight, bias;
  // [width], or undefined: the mean square of an RMS norm runs over the numbers whose mask is not 0, and the
  // output is multiplied by it.
  torch::Tensor mask;

 private:
  torch::Tensor masked_forward(const torch::Tensor& x) const;

  double eps_;
  NormKind kind_;
};
TORCH_MODULE(Norm);

}  // namespace attnlab
