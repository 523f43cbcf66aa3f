// Matrices that multiply one x, as one matrix: where they lie side by side in memory, one product takes the
// place of several that are too narrow to fill a GPU, and one gradient of x the place of their sum. Packed ones
// stay where they are: a kernel finds several in one launch.
#pragma once

#include <memory>
#include <vector>

#include "attention/linear.h"

namespace attnlab {

// Parameters keep their names and shapes: they are views of one memory, from lay_side_by_side on until
// something moves them elsewhere (another device or format, a share of a rank). From then on they are
// multiplied apart.
class SharedInput {
 public:
  SharedInput() = default;
  explicit SharedInput(const std::vector<Linear>& linears) {
    for (const auto& linear : linears) linears_.push_back(linear.ptr());
  }

  // x [.., in] → what each matrix gives, [.., out]; of one product, views of it.
  std::vector<torch::Tensor> forward(const torch::Tensor& x) const;
  // The same as one tensor [.., Σ out]; undefined where the matrices are multiplied apart.
  torch::Tensor joined(const torch::Tensor& x) const;

  // Nothing happens where they can't lie so: other formats, a bias at some alone. Of packed ones those whose
  // inputs are in one order share the tensor that says so.
  void lay_side_by_side();
  // Whether one product takes them (under autocast, of many rows alone): they lie so, all or none train, and no
  // mask is on their inputs.
  bool is_one_product() const;

 private:
  bool are_alike() const;
  bool lie_side_by_side() const;
  std::vector<torch::Tensor> product(const torch::Tensor& x, bool apart) const;
  // [.., Σ out]; undefined where they aren't packed alike or no kernel takes them as one.
  torch::Tensor packed_product(const torch::Tensor& x) const;
  std::vector<int64_t> widths() const;

  std::vector<std::shared_ptr<LinearImpl>> linears_;
  bool laid_ = false, packed_alike_ = false;
};

// A module with such matrices.
class SharesInputs {
 public:
  virtual ~SharesInputs() = default;
  virtual std::vector<SharedInput*> shared_inputs() = 0;
};

// All of a module and those in it, once its parameters have their values, format and device. Results differ in
// rounding from those of products apart.
void lay_side_by_side(torch::nn::Module& module);
// The words of packed matrices, group by group (LinearImpl::sort_columns).
void sort_packed_columns(torch::nn::Module& module);
// Both on a GPU, where kernels gain by it; on a CPU nothing.
void lay_side_by_side_on_gpu(torch::nn::Module& module);

}  // namespace attnlab
