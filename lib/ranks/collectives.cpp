#include "ranks/collectives.h"

#include "core/errors.h"

namespace attnlab {
namespace {

using torch::Tensor;
using WorkHandle = c10::intrusive_ptr<c10d::Work>;

struct PlainWork : Pending {
  explicit PlainWork(WorkHandle started) : work(std::move(started)) {}
  void wait() override { work->wait(); }
  WorkHandle work;
};

// Everyone's part of the own slice has come; they are added in the order of ranks.
struct OrderedSlice : Pending {
  void wait() override {
    work->wait();
    const torch::NoGradGuard no_grad;
    const auto parts = received.view({size, -1});
    own.copy_(parts[0]);
    for (int64_t r = 1; r < size; ++r) own.add_(parts[r]);
  }
  WorkHandle work;
  Tensor own, received, sent;
  int64_t size = 1;
};

}  // namespace

Collectives::Collectives(BackendHandle gloo, std::function<BackendHandle()> nccl, int64_t size)
    : gloo_(std::move(gloo)), make_nccl_(std::move(nccl)), size_(size) {}

c10d::Backend& Collectives::backend_for(const Tensor& tensor) {
  if (tensor.is_cpu()) return *gloo_;
  if (!nccl_) nccl_ = make_nccl_();
  return *nccl_;
}

PendingHandle Collectives::sum_slice(const Tensor& own, const Tensor& flat) {
  ATTNLAB_CHECK(flat.numel() == own.numel() * size_);
  auto& backend = backend_for(flat);
  if (!flat.is_cpu()) {
    Tensor output = own, input = flat;
    return std::make_unique<PlainWork>(backend._reduce_scatter_base(output, input));
  }
  auto pending = std::make_unique<OrderedSlice>();
  pending->own = own;
  pending->sent = flat;
  pending->received = torch::empty_like(flat);
  pending->size = size_;
  std::vector<int64_t> equal;
  pending->work = backend.alltoall_base(pending->received, pending->sent, equal, equal);
  return pending;
}

PendingHandle Collectives::gather(const Tensor& flat, const Tensor& own) {
  ATTNLAB_CHECK(flat.numel() == own.numel() * size_);
  Tensor output = flat, input = flat.is_cpu() ? own.clone() : own;
  return std::make_unique<PlainWork>(backend_for(flat)._allgather_base(output, input));
}

namespace {

struct OrderedSum : Pending {
  void wait() override {
    slice->wait();
    collectives->gather(flat, own)->wait();
  }
  Collectives* collectives = nullptr;
  PendingHandle slice;
  Tensor flat, own;
};

}  // namespace

PendingHandle Collectives::sum(const Tensor& flat) {
  if (!flat.is_cpu()) {
    std::vector<Tensor> tensors{flat};
    return std::make_unique<PlainWork>(backend_for(flat).allreduce(tensors));
  }
  auto pending = std::make_unique<OrderedSum>();
  pending->collectives = this;
  pending->flat = flat;
  pending->own = torch::empty(flat.numel() / size_, flat.options());
  pending->slice = sum_slice(pending->own, flat);
  return pending;
}

void Collectives::share(const Tensor& tensor) {
  std::vector<Tensor> tensors{tensor};
  c10d::BroadcastOptions options;
  options.rootRank = 0;
  backend_for(tensor).broadcast(tensors, options)->wait();
}

Tensor Collectives::sum_small(const Tensor& values) {
  const torch::NoGradGuard no_grad;
  Tensor flat = values.detach().reshape({-1}).clone();
  if (!values.is_cpu()) {
    std::vector<Tensor> tensors{flat};
    backend_for(flat).allreduce(tensors)->wait();
    return flat.view(values.sizes());
  }
  Tensor all = torch::empty(flat.numel() * size_, flat.options());
  backend_for(flat)._allgather_base(all, flat)->wait();
  const auto parts = all.view({size_, -1});
  flat = parts[0].clone();
  for (int64_t r = 1; r < size_; ++r) flat.add_(parts[r]);
  return flat.view(values.sizes());
}

}  // namespace attnlab
