// Sums and gathers of tensors over ranks.
#pragma once

#include <functional>
#include <memory>

#include "ranks/backend.h"
#include "tensor/torch.h"

namespace attnlab {

// Something under way. On a GPU `wait` makes the current stream wait, and no more.
class Pending {
 public:
  virtual ~Pending() = default;
  virtual void wait() = 0;
};
using PendingHandle = std::unique_ptr<Pending>;

// Between CPUs sums are made in the order of ranks, so that they have the same bits however they travel;
// between GPUs as NCCL makes them. All ranks call the same in the same order.
class Collectives {
 public:
  // `nccl`: makes the GPUs' backend when it is first needed.
  Collectives(BackendHandle gloo, std::function<BackendHandle()> nccl, int64_t size);

  // In place; the number of elements must be a multiple of the number of ranks.
  PendingHandle sum(const torch::Tensor& flat);
  // Of the sum, the own slice: rank r's is the r-th of as many equal ones.
  PendingHandle sum_slice(const torch::Tensor& own, const torch::Tensor& flat);
  // Everyone's slices, one behind the other; `own` may lie at its place in `flat`.
  PendingHandle gather(const torch::Tensor& flat, const torch::Tensor& own);
  // Rank 0's values to all, in place.
  void share(const torch::Tensor& tensor);
  // A few numbers, of any shape.
  torch::Tensor sum_small(const torch::Tensor& values);

 private:
  c10d::Backend& backend_for(const torch::Tensor& tensor);
  BackendHandle gloo_, nccl_;
  std::function<BackendHandle()> make_nccl_;
  int64_t size_;
};

}  // namespace attnlab
