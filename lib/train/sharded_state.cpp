#include "train/sharded_state.h"

#include <algorithm>

#include "core/errors.h"

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
    const int64_t length = bucket.layout.numbers / world.size();
    bucket.flat = torch::zeros({bucket.layout.numbers}, options);
    bucket.kept[0] = bucket.flat.narrow(0, world.rank() * length, length);
    for (size_t k = 0; k < bucket.layout.parameters.size(); ++k) {
      auto parameter = parameters[bucket.layout.parameters[k]].second;
      const auto place =
          bucket.flat.narrow(0, bucket.layout.begins[k], parameter.numel()).view(parameter.sizes());
      place.copy_(parameter);
      parameter.set_data(place);
    }
    add_bucket(std::move(bucket));
  }
}

ShardedState::ShardedState(const NamedTensors& parameters, World& world,
                           const std::vector<BucketLayout>& layouts, const std::vector<torch::Tensor>& own)
    : world_(world), parameters_(parameters) {
  for (size_t b = 0; b < layouts.size(); ++b)
    add_bucket({.layout = layouts[b], .flat = {}, .kept = {own[b], {}, {}}});
}

void ShardedState::add_bucket(Bucket bucket) {
  const int64_t length = bucket.kept[0].numel(), own = world_.rank() * length;
  for (const int moment : {1, 2}) bucket.kept[moment] = torch::zeros_like(bucket.kept[0]);
  for (size_t k = 0; k < bucket.layout.parameters.size(); ++k) {
    const size_t parameter = bucket.layout.parameters[k];
    const int64_t first = bucket.layout.begins[k], last = first + parameters_[parameter].second.numel();
    const int64_t from = std::max(first, own), to = std::min(last, own + length);
    if (from < to) parts_.push_back({buckets_.size(), parameter, from - first, from - own, to - from});
  }
  buckets_.push_back(std::move(bucket));
}

std::vector<AdamW::Slot> ShardedState::parts() const {
  std::vector<AdamW::Slot> slots;
  for (const auto& part : parts_) {
    const Bucket& bucket = buckets_[part.bucket];
    const auto cut = [&](const torch::Tensor& tensor) { return tensor.narrow(0, part.place, part.count); };
    slots.push_back({.name = parameters_[part.parameter].first,
                     .parameter = cut(bucket.kept[0]),
                     .first_moment = cut(bucket.kept[1]),
                     .second_moment = cut(bucket.kept[2]),
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
    if (buckets_[b].flat.defined()) pending.push_back(world_.gather(buckets_[b].flat, buckets_[b].kept[0]));
  }
  const World::Waiting waiting(world_);
  for (auto& each : pending) each->wait();
}

size_t ShardedState::bucket_of(size_t parameter) const {
  const auto bucket = std::find_if(buckets_.begin(), buckets_.end(), [&](const Bucket& each) {
    const auto& held = each.layout.parameters;
    return std::find(held.begin(), held.end(), parameter) != held.end();
  });
  ATTNLAB_CHECK(bucket != buckets_.end());
  return static_cast<size_t>(bucket - buckets_.begin());
}

torch::Tensor ShardedState::whole(Kept kept, size_t parameter) {
  const torch::NoGradGuard no_grad;
  const auto key = std::pair(kept, bucket_of(parameter));
  const Bucket& bucket = buckets_[key.second];
  auto found =
      std::find_if(gathered_.begin(), gathered_.end(), [&](const auto& each) { return each.first == key; });
  if (found == gathered_.end()) {
    if (gathered_.size() == 2) gathered_.erase(gathered_.begin());
    const auto& own = bucket.kept[static_cast<size_t>(kept)];
    const auto flat = torch::empty({bucket.layout.numbers}, own.options());
    const World::Waiting waiting(world_);
    world_.gather(flat, own)->wait();
    // Nobody runs ahead of rank 0, which may be busy with what it got for longer than a sum may take.
    if (flat.is_cuda()) torch::cuda::synchronize(flat.device().index());
    gathered_.emplace_back(key, flat);
  } else {
    std::rotate(found, found + 1, gathered_.end());
  }
  if (!world_.is_first()) return {};
  const auto& held = bucket.layout.parameters;
  const auto place = std::find(held.begin(), held.end(), parameter) - held.begin();
  const auto& like = parameters_[parameter].second;
  return gathered_.back()
      .second.narrow(0, bucket.layout.begins[static_cast<size_t>(place)], like.numel())
      .view(like.sizes())
      .to(torch::kCPU);
}

torch::Tensor ShardedState::like(size_t parameter) const {
  const auto& own = buckets_[bucket_of(parameter)].kept[0];
  return torch::empty({}, own.options()).expand(parameters_[parameter].second.sizes());
}

void ShardedState::set(Kept kept, size_t parameter, const torch::Tensor& whole) {
  const torch::NoGradGuard no_grad;
  for (const auto& part : parts_)
    if (part.parameter == parameter)
      buckets_[part.bucket]
          .kept[static_cast<size_t>(kept)]
          .narrow(0, part.place, part.count)
          .copy_(whole.reshape({-1}).narrow(0, part.begin, part.count));
}

}  // namespace attnlab
