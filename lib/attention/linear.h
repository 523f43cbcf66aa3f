// The two modules that every layer is made of. Their parameters hold no values until weights are loaded: a
// model of many gigabytes is built without touching its memory.
#pragma once

#include <functional>
#include <utility>

#include "tensor/torch.h"

namespace attnlab {

// While one lives in a thread, parameters made there have shapes and no memory (torch's meta device).
class ShapesOnly {
 public:
  ShapesOnly() { ++depth_; }
  ~ShapesOnly() { --depth_; }
  ShapesOnly(const ShapesOnly&) = delete;
  ShapesOnly& operator=(const ShapesOnly&) = delete;
  static bool active() { return depth_ > 0; }

 private:
  inline static thread_local int depth_ = 0;
};

inline torch::Tensor empty_parameter(torch::IntArrayRef shape) {
  return torch::empty(shape, torch::device(ShapesOnly::active() ? torch::kMeta : torch::kCPU));
}

class LinearImpl;

// While one lives in a thread, it hears of the inputs of one Linear.
class LinearTap {
 public:
  using See = std::function<void(const torch::Tensor& x)>;
  LinearTap(const LinearImpl& of, See see) : of_(&of), see_(std::move(see)), before_(current_) {
    current_ = this;
  }
  ~LinearTap() { current_ = before_; }
  LinearTap(const LinearTap&) = delete;
  LinearTap& operator=(const LinearTap&) = delete;
  static void hear(const LinearImpl* linear, const torch::Tensor& x) {
    if (current_ && current_->of_ == linear) current_->see_(x);
  }

 private:
  const LinearImpl* of_;
  See see_;
  LinearTap* before_;
  inline static thread_local LinearTap* current_ = nullptr;
};

// y = x Wᵀ + b, W [out, in].
class LinearImpl : public torch::nn::Module {
 public:
  LinearImpl(int64_t in, int64_t out, bool with_bias = false)
      : weight(register_parameter("weight", empty_parameter({out, in}))) {
    if (with_bias) bias = register_parameter("bias", empty_parameter({out}));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    LinearTap::hear(this, x);
    return torch::linear(x, weight, bias);
  }

  torch::Tensor weight, bias;
};
TORCH_MODULE(Linear);

// x / √(mean(x²) + eps) · weight over the last dimension (arXiv 1910.07467); with `plus_one`, times 1 + weight
// (Gemma's form).
class RmsNormImpl : public torch::nn::Module {
 public:
  RmsNormImpl(int64_t width, double eps, bool plus_one = false)
      : weight(register_parameter("weight", empty_parameter({width}))), eps_(eps), plus_one_(plus_one) {}
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
