// The two modules that every layer is made of. Their parameters hold no values until weights are loaded: a
// model of many gigabytes is built without touching its memory.
#pragma once

#include <functional>
#include <optional>
#include <utility>

#include "kernels/few_rows.h"
#include "quantize/packed_matrix.h"
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

// While one lives in a thread, it hears of the inputs of every Linear there.
class LinearTap {
 public:
  using See = std::function<void(const LinearImpl& linear, const torch::Tensor& x)>;
  explicit LinearTap(See see) : see_(std::move(see)), before_(current_) { current_ = this; }
  ~LinearTap() { current_ = before_; }
  LinearTap(const LinearTap&) = delete;
  LinearTap& operator=(const LinearTap&) = delete;
  static void hear(const LinearImpl& linear, const torch::Tensor& x) {
    if (current_) current_->see_(linear, x);
  }
  static bool listens() { return current_ != nullptr; }

 private:
  See see_;
  LinearTap* before_;
  inline static thread_local LinearTap* current_ = nullptr;
};

// y = x Wᵀ + b, W [out, in]: one parameter `weight`, or, packed, the four of the hub's layout in its place,
// which are no parameters that train. They are dequantised when they are used.
class LinearImpl : public torch::nn::Module {
 public:
  LinearImpl(int64_t in, int64_t out, bool with_bias = false)
      : weight(register_parameter("weight", empty_parameter({out, in}))), in_(in), out_(out) {
    if (with_bias) bias = register_parameter("bias", empty_parameter({out}));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    LinearTap::hear(*this, x);
    const auto input = input_mask.defined() ? x * input_mask.to(x.scalar_type()) : x;
    return packing_ ? packed_forward(input) : linear_of_rows(input, weight, bias);
  }

  // From now on W is packed, its parts being uninitialised. in and out must have a place in the layout
  // (packing_problem).
  void hold_packed(const MatrixPacking& packing);
  bool is_packed() const { return packing_.has_value(); }
  // A packed W: from now on `qweight` holds its inputs group by group (quantize/packed_matrix.h). What it
  // stands for is the same.
  void sort_columns();
  // Of a packed W `qweight` as files have it.
  torch::Tensor stored_words() const;
  // `qweight` is about to get the values that files have.
  void forget_order();
  // Takes the other's order where both have the same, so that one tensor says so. Whether they are packed
  // alike, and in one order.
  bool share_order(const LinearImpl& other);
  const PackedMatrix& packed() const { return packed_; }
  const MatrixPacking& packing() const { return *packing_; }
  // W itself, for products of parts of it; of a packed one a copy in `dtype`.
  torch::Tensor matrix(torch::ScalarType dtype) const;
  int64_t in() const { return in_; }
  int64_t out() const { return out_; }

  // Integers and scales of a packed W keep their formats.
  using Module::to;
  void to(torch::Device device, torch::Dtype dtype, bool non_blocking = false) override;
  void to(torch::Dtype dtype, bool non_blocking = false) override;
  void to(torch::Device device, bool non_blocking = false) override;

  torch::Tensor weight, bias;  // weight: undefined where W is packed
  torch::Tensor input_mask;    // [in], or undefined: what inputs are multiplied by while the model is pruned

 private:
  torch::Tensor packed_forward(const torch::Tensor& x) const;

  int64_t in_, out_;
  std::optional<MatrixPacking> packing_;
  PackedMatrix packed_;
};
TORCH_MODULE(Linear);

// x / √(mean(x²) + eps) · weight over the last dimension (arXiv 1910.07467); with `plus_one`, times 1 + weight
// (Gemma's form).
class RmsNormImpl : public torch::nn::Module {
 public:
  RmsNormImpl(int64_t width, double eps, bool plus_one = false)
      : weight(register_parameter("weight", empty_parameter({width}))), eps_(eps), plus_one_(plus_one) {}
  torch::Tensor forward(const torch::Tensor& x) const;

  torch::Tensor weight;

 private:
  double eps_;
  bool plus_one_;
};
TORCH_MODULE(RmsNorm);

}  // namespace attnlab
