#include "train/sharded_state.h"

#include <algorithm>

namespace attnlab {
namespace {

std::vector<torch::Tensor> tensors_of(const NamedTensors& named) {
  std::vector<torch::Tensor> out;
  for (const auto& [name, tensor] : named) out.push_back(tensor);
  return out;
}

}  // namespace

ShardedState::ShardedState(const NamedTensors& parameters, World& world, int64_t bucket_bytes)
    : world_(world), parameters_(parameters) {
  const torch::NoGradGuard no_grad;
  for (auto& layout : lay_out(tensors_of(parameters), world.size(), bucket_bytes)) {
    Bucket bucket{.layout = std::move(layout)};
    const auto options = parameters[bucket.layout.parameters[0]].second.options().requires_grad(false);
    const int64_t length = bucket.layout.numbers / world.size(), own = world.rank() * length;
    bucket.flat = torch::zeros({bucket.layout.numbers}, options);
    bucket.own = bucket.flat.narrow(0, own, length);
    for (auto& moment : bucket.moments) moment = torch::zeros({length}, options);
    for (size_t k = 0; k < bucket.layout.parameters.size(); ++k) {
      auto parameter = parameters[bucket.layout.parameters[k]].second;
      const int64_t first = bucket.layout.begins[k], last = first + parameter.numel();
      const auto place = bucket.flat.narrow(0, first, parameter.numel()).view(parameter.sizes());
      place.copy_(parameter);
      parameter.set_data(place);
      const int64_t from = std::max(first, own), to = std::min(last, own + length);
      if (from < to)
        parts_.push_back({buckets_.size(), bucket.layout.parameters[k], from - first, from - own, to - from});
    }
    buckets_.push_back(std::move(bucket));
  }
}

std::vector<AdamW::Slot> ShardedState::parts() const {
  std::vector<AdamW::Slot> slots;
  for (const auto& part : parts_) {
    const Bucket& bucket = buckets_[part.bucket];
    const auto cut = [&](const torch::Tensor& tensor) { return tensor.narrow(0, part.place, part.count); };
    slots.push_back({.name = parameters_[part.parameter].first,
                     .parameter = cut(bucket.own),
                     .first_moment = cut(bucket.moments[0]),
                     .second_moment = cut(bucket.moments[1]),
                     .matrix = parameters_[part.parameter].second.dim() >= 2});
  }
  return slots;
}

void ShardedState::give_gradients(const GradientSums& sums, std::vector<AdamW::Slot>& parts) const {
  for (size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts_[i];
    if (!sums.has_gradient(part.parameter)) continue;
    parts[i].gradient =
        sums.slice(part.bucket).narrow(0, part.place, part.count).to(parts[i].parameter.scalar_type());
  }
}

void ShardedState::update(AdamW& optimizer, const torch::Tensor& skip) {
  const torch::NoGradGuard no_grad;
  std::vector<PendingHandle> pending;
  size_t next = 0;  // of the parts
  for (size_t b = 0; b < buckets_.size(); ++b) {
    const size_t first = next;
    while (next < parts_.size() && parts_[next].bucket == b) ++next;
    if (first < next) optimizer.update_slots(first, next, skip);
    pending.push_back(world_.gather(buckets_[b].flat, buckets_[b].own));
  }
  const World::Waiting waiting(world_);
  for (auto& each : pending) each->wait();
}

std::vector<torch::Tensor> ShardedState::whole_moments(int64_t which) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> out(parameters_.size());
  for (auto& bucket : buckets_) {
    const auto flat = torch::empty_like(bucket.flat);
    world_.gather(flat, bucket.moments[which])->wait();
    if (!world_.is_first()) continue;
    for (size_t k = 0; k < bucket.layout.parameters.size(); ++k) {
      const size_t i = bucket.layout.parameters[k];
      const auto& parameter = parameters_[i].second;
      out[i] = flat.narrow(0, bucket.layout.begins[k], parameter.numel())
                   .view(parameter.sizes())
                   .to(torch::kCPU)
                   .clone();
    }
  }
  return out;
}

void ShardedState::set_moment(int64_t which, size_t parameter, const torch::Tensor& whole) {
  const torch::NoGradGuard no_grad;
  for (const auto& part : parts_)
    if (part.parameter == parameter)
      buckets_[part.bucket]
          .moments[which]
          .narrow(0, part.place, part.count)
          .copy_(whole.reshape({-1}).narrow(0, part.begin, part.count));
}

}  // namespace attnlab
