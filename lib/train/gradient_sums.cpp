#include "train/gradient_sums.h"

#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>

#include "core/errors.h"

namespace attnlab {
struct GradientSums::Bucket {
  BucketLayout layout;
  int64_t missing = 0;
  torch::Tensor flat, received, own;  // the whole, this rank's slice of a sum, and of all passes' sums
  PendingHandle pending;
};

struct GradientSums::Hook : torch::autograd::PostAccumulateGradHook {
  Hook(GradientSums& all, size_t index) : sums(all), parameter(index) {}
  void operator()(const torch::autograd::Variable&) override { sums.ready(parameter); }
  GradientSums& sums;
  size_t parameter;
};

GradientSums::GradientSums(std::vector<torch::Tensor> parameters, World& world, To to, int64_t bucket_bytes)
    : world_(world),
      parameters_(std::move(parameters)),
      bucket_of_(parameters_.size()),
      to_(to),
      used_(parameters_.size()),
      has_(parameters_.size()) {
  make_buckets(lay_out(parameters_, world.size(), bucket_bytes));
  for (size_t i = 0; i < parameters_.size(); ++i)
    torch::autograd::impl::set_post_acc_grad_hooks(parameters_[i], std::make_unique<Hook>(*this, i));
}

GradientSums::GradientSums(std::vector<torch::Tensor> parameters, World& world,
                           std::vector<BucketLayout> layouts)
    : world_(world),
      parameters_(std::move(parameters)),
      bucket_of_(parameters_.size()),
      to_(To::slices),
      used_(parameters_.size()),
      has_(parameters_.size()),
      told_(true) {
  make_buckets(std::move(layouts));
}

void GradientSums::make_buckets(std::vector<BucketLayout> layouts) {
  for (auto& layout : layouts) {
    for (const size_t i : layout.parameters) bucket_of_[i] = buckets_.size();
    buckets_.push_back(std::make_unique<Bucket>());
    buckets_.back()->layout = std::move(layout);
  }
}

GradientSums::~GradientSums() {
  if (told_) return;
  for (const auto& parameter : parameters_) torch::autograd::impl::set_post_acc_grad_hooks(parameter, nullptr);
}

void GradientSums::expect_last() {
  if (told_) return;
  last_ = true;
  next_ = 0;
  for (auto& bucket : buckets_) bucket->missing = static_cast<int64_t>(bucket->layout.parameters.size());
}

void GradientSums::ready(size_t parameter) {
  if (!last_) return;
  --buckets_[bucket_of_[parameter]]->missing;
  while (next_ < buckets_.size() && buckets_[next_]->missing == 0) send_next();
}

void GradientSums::send_next() {
  const size_t under_way = told_ ? kToldUnderWay : kUnderWay;
  if (to_ == To::slices && next_ >= under_way) join(*buckets_[next_ - under_way]);
  send(*buckets_[next_++]);
}

void GradientSums::send_told() {
  ATTNLAB_CHECK(told_);
  if (next_ == buckets_.size()) next_ = 0;  // another pass
  if (next_ == 0) join(*buckets_.back());
  send_next();
}

void GradientSums::send(Bucket& bucket) {
  const torch::NoGradGuard no_grad;
  const auto& [indices, begins, numbers] = bucket.layout;
  const auto& first = parameters_[indices[0]];
  bucket.flat = torch::empty({numbers}, first.options().dtype(sum_type(first)).requires_grad(false));
  std::vector<torch::Tensor> places, gradients, empty;
  for (size_t k = 0; k < indices.size(); ++k) {
    auto& parameter = parameters_[indices[k]];
    const bool has = parameter.grad().defined();
    used_[indices[k]] = has || (told_ && used_[indices[k]]);
    // Zeros where no gradient is put, and nowhere else: over all of it they would be a pass more.
    const int64_t filled = begins[k] + (has ? parameter.numel() : 0);
    const int64_t next = k + 1 < begins.size() ? begins[k + 1] : numbers;
    if (filled < next) empty.push_back(bucket.flat.narrow(0, filled, next - filled));
    if (!has) continue;
    places.push_back(bucket.flat.narrow(0, begins[k], parameter.numel()).view(parameter.sizes()));
    gradients.push_back(parameter.grad());
    parameter.mutable_grad().reset();
  }
  if (!empty.empty()) at::_foreach_zero_(empty);
  if (!places.empty()) at::_foreach_copy_(places, gradients);
  const int64_t length = numbers / world_.size();
  if (to_ == To::parameters) {
    bucket.own = bucket.flat.narrow(0, world_.rank() * length, length);
    bucket.pending = world_.sum(bucket.flat);
  } else {
    bucket.received = torch::empty({length}, bucket.flat.options());
    bucket.pending = world_.sum_slice(bucket.received, bucket.flat);
  }
}

void GradientSums::finish() {
  if (!last_ && !told_) next_ = 0;  // there was no backward pass
  while (next_ < buckets_.size()) send_next();
  last_ = false;
  for (auto& bucket : buckets_) join(*bucket);
}

void GradientSums::join(Bucket& bucket) {
  if (!bucket.pending) return;
  const torch::NoGradGuard no_grad;
  const World::Waiting waiting(world_);
  bucket.pending->wait();
  bucket.pending.reset();
  if (to_ == To::slices) {
    bucket.flat.reset();
    if (bucket.own.defined())
      bucket.own.add_(bucket.received);
    else
      bucket.own = bucket.received;
    return bucket.received.reset();
  }
  const auto& [indices, begins, numbers] = bucket.layout;
  for (size_t k = 0; k < indices.size(); ++k) {
    auto& parameter = parameters_[indices[k]];
    const auto sum = bucket.flat.narrow(0, begins[k], parameter.numel()).view(parameter.sizes());
    parameter.mutable_grad() = sum.to(parameter.scalar_type());
  }
}

torch::Tensor GradientSums::own_squares() const {
  std::vector<torch::Tensor> slices;
  for (const auto& bucket : buckets_) slices.push_back(bucket->own);
  const auto norms = torch::stack(at::_foreach_norm(slices, 2, sum_type(slices[0])));
  return norms.square().sum().to(torch::kFloat32);
}

torch::Tensor GradientSums::used() const {
  auto flags = torch::ones({static_cast<int64_t>(parameters_.size())},
                           torch::dtype(torch::kFloat32).device(parameters_[0].device()));
  for (size_t i = 0; i < used_.size(); ++i)
    if (!used_[i]) flags[static_cast<int64_t>(i)].fill_(0);
  return flags;
}

bool GradientSums::all_used() const {
  return std::all_of(used_.begin(), used_.end(), [](char used) { return used != 0; });
}

void GradientSums::drop_unused(const torch::Tensor& used) {
  const auto sums = used.defined() && !all_used() ? used.to(torch::kCPU) : torch::Tensor();
  for (size_t i = 0; i < used_.size(); ++i) {
    has_[i] = used_[i] || (sums.defined() && sums[static_cast<int64_t>(i)].item<float>() > 0);
    if (!has_[i]) parameters_[i].mutable_grad().reset();
  }
}

void GradientSums::forget() {
  for (auto& bucket : buckets_) {
    bucket->flat.reset();
    bucket->own.reset();
  }
  if (!told_) return;
  next_ = 0;
  std::fill(used_.begin(), used_.end(), 0);
}

const torch::Tensor& GradientSums::slice(size_t bucket) const { return buckets_[bucket]->own; }

}  // namespace attnlab
