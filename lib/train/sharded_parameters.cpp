#include "train/sharded_parameters.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "core/errors.h"

namespace attnlab {
namespace {

using torch::Tensor;

const c10::TensorImpl* key_of(const Tensor& tensor) { return tensor.unsafeGetTensorImpl(); }

c10::StorageImpl* storage_of(const Tensor& whole) { return whole.storage().unsafeGetStorageImpl(); }

// What autograd kept of views of it sees the values again once they are back, in other memory.
void take_memory(const Tensor& whole) {
  const auto bytes = static_cast<size_t>(whole.numel()) * whole.element_size();
  storage_of(whole)->set_data_ptr(storage_of(whole)->allocator()->allocate(bytes));
  storage_of(whole)->set_nbytes(bytes);
}

void drop_memory(const Tensor& whole) {
  storage_of(whole)->set_data_ptr(at::DataPtr(nullptr, whole.device()));
  storage_of(whole)->set_nbytes(0);
}

// Those that only products read, in the autocast format where that is on. Mixers with a state of fixed size
// compute in full precision, too.
std::vector<Tensor> in_products(const DecoderLayer& layer) {
  const bool recurrence = fixed_numbers(layer.mixer()->state_layout()) > 0;
  const auto of_mixer = linears_of(*layer.mixer());
  std::vector<Tensor> out;
  for (const auto& [name, linear] : linears_of(layer)) {
    const bool in_mixer = std::any_of(of_mixer.begin(), of_mixer.end(),
                                      [&](const auto& entry) { return entry.second == linear; });
    if (linear->is_packed() || (recurrence && in_mixer)) continue;
    out.push_back(linear->weight);
    if (linear->bias.defined()) out.push_back(linear->bias);
  }
  return out;
}

}  // namespace

ShardedParameters::ShardedParameters(Decoder& decoder, const NamedTensors& trained, Precision precision,
                                     World& world)
    : decoder_(decoder), world_(world), precision_(precision) {
  const torch::NoGradGuard no_grad;
  std::set<const c10::TensorImpl*> seen;
  for (const auto& layer : decoder.layers()) {
    const auto parameters = layer->parameters();
    for (const auto& parameter : parameters) seen.insert(key_of(parameter));
    add_group(parameters, in_products(*layer));
  }
  std::vector<Tensor> others;
  for (const auto& parameter : decoder.parameters())
    if (seen.insert(key_of(parameter)).second) others.push_back(parameter);
  add_group(others, {});
  std::map<const c10::TensorImpl*, size_t> index;
  for (size_t i = 0; i < trained.size(); ++i) index[key_of(trained[i].second)] = i;
  const auto lay_out_group = [&](const Group& group) {
    for (const auto& bucket : group.buckets) {
      if (!bucket.trained) continue;
      BucketLayout layout{.begins = bucket.begins, .numbers = bucket.whole.numel()};
      for (const auto& parameter : bucket.parameters) layout.parameters.push_back(index.at(key_of(parameter)));
      layouts_.push_back(std::move(layout));
      own_.push_back(bucket.own);
    }
  };
  const auto is_trained = [](const Group& group) {
    return std::any_of(group.buckets.begin(), group.buckets.end(), [](const auto& b) { return b.trained; });
  };
  for (size_t layer = layers(); layer-- > 0;) lay_out_group(groups_[layer]);
  lay_out_group(outer());
  const bool from_embedding = decoder.named_parameters()["model.embed_tokens.weight"].requires_grad();
  while (!from_embedding && lowest_ < layers() && !is_trained(groups_[lowest_])) ++lowest_;
  open_ = layers();
  decoder.set_gate(this);
}

ShardedParameters::~ShardedParameters() { decoder_.set_gate(nullptr); }

void ShardedParameters::add_group(const std::vector<Tensor>& parameters,
                                  const std::vector<Tensor>& in_products) {
  std::set<const c10::TensorImpl*> products;
  for (const auto& parameter : in_products) products.insert(key_of(parameter));
  Group group;
  for (const bool trained : {true, false})
    for (const bool product : {true, false}) {
      std::vector<Tensor> alike;
      for (const auto& parameter : parameters)
        if (parameter.requires_grad() == trained && products.contains(key_of(parameter)) == product)
          alike.push_back(parameter);
      for (const auto& layout : lay_out(alike, world_.size(), std::numeric_limits<int64_t>::max())) {
        const auto kept = alike[layout.parameters[0]].scalar_type();
        const bool shorter = product && precision_ == Precision::bf16_mixed && kept == torch::kFloat32;
        group.buckets.push_back(make_bucket(alike, layout, shorter ? torch::kBFloat16 : kept));
        group.buckets.back().trained = trained;
      }
    }
  groups_.push_back(std::move(group));
}

ShardedParameters::Bucket ShardedParameters::make_bucket(const std::vector<Tensor>& parameters,
                                                         const BucketLayout& layout,
                                                         torch::ScalarType gathered) {
  const auto options = parameters[layout.parameters[0]].options().requires_grad(false);
  const int64_t length = layout.numbers / world_.size();
  const auto flat = torch::zeros({layout.numbers}, options);
  Bucket bucket{.begins = layout.begins, .whole = torch::empty({layout.numbers}, options.dtype(gathered))};
  for (size_t k = 0; k < layout.parameters.size(); ++k) {
    Tensor parameter = parameters[layout.parameters[k]];
    const auto place = [&](const Tensor& from) {
      return from.narrow(0, layout.begins[k], parameter.numel()).view(parameter.sizes());
    };
    place(flat).copy_(parameter);
    parameter.set_data(place(bucket.whole));
    bucket.parameters.push_back(parameter);
  }
  drop_memory(bucket.whole);  // its views are made
  bucket.own = flat.narrow(0, world_.rank() * length, length).clone();
  return bucket;
}

void ShardedParameters::start(Group& group) {
  if (group.here || !group.pending.empty()) return;
  const torch::NoGradGuard no_grad;
  for (auto& bucket : group.buckets) {
    take_memory(bucket.whole);
    group.pending.push_back(world_.gather(bucket.whole, bucket.own.to(bucket.whole.scalar_type())));
  }
}

void ShardedParameters::wait(Group& group) {
  const World::Waiting waiting(world_);
  for (auto& each : group.pending) each->wait();
  group.pending.clear();
  group.here = true;
}

void ShardedParameters::let_go(Group& group) {
  if (!group.pending.empty()) wait(group);
  if (!group.here) return;
  for (const auto& bucket : group.buckets) drop_memory(bucket.whole);
  group.here = false;
}

void ShardedParameters::before(size_t layer) {
  if (whole_ > 0) return;
  start(groups_[layer]);
  if (layer + 1 < layers()) start(groups_[layer + 1]);
  wait(groups_[layer]);
}

// The last layer is the first to go back.
void ShardedParameters::behind(size_t layer, bool goes_back) {
  if (whole_ == 0 && !(goes_back && layer + 1 == layers())) let_go(groups_[layer]);
}

void ShardedParameters::before_backward(size_t layer) {
  ATTNLAB_CHECK(whole_ == 0);
  start(groups_[layer]);
  if (layer > lowest_) start(groups_[layer - 1]);
  wait(groups_[layer]);
}

void ShardedParameters::behind_backward(size_t layer) { close_down_to(layer); }

void ShardedParameters::close_down_to(size_t layer) {
  for (; open_ > layer; --open_) {
    Group& group = groups_[open_ - 1];
    send(group);
    let_go(group);
  }
}

void ShardedParameters::send(const Group& group) {
  for (const auto& bucket : group.buckets)
    if (bucket.trained) sums_->send_told();
}

void ShardedParameters::begin_step() {
  start(outer());
  wait(outer());
}

void ShardedParameters::end_pass() {
  close_down_to(0);
  open_ = layers();
  send(outer());
}

void ShardedParameters::end_step() { let_go(outer()); }

ShardedParameters::Whole::Whole(ShardedParameters* parameters) : parameters_(parameters) {
  if (!parameters_ || parameters_->whole_++ > 0) return;
  for (auto& group : parameters_->groups_) {
    parameters_->start(group);
    parameters_->wait(group);
  }
}

ShardedParameters::Whole::~Whole() {
  if (!parameters_ || --parameters_->whole_ > 0) return;
  for (auto& group : parameters_->groups_) parameters_->let_go(group);
}

void ShardedParameters::make_whole() {
  const torch::NoGradGuard no_grad;
  for (auto& group : groups_)
    for (auto& bucket : group.buckets) {
      const auto flat = torch::empty({bucket.whole.numel()}, bucket.own.options());
      {
        const World::Waiting waiting(world_);
        world_.gather(flat, bucket.own)->wait();
      }
      for (size_t k = 0; k < bucket.parameters.size(); ++k) {
        Tensor& parameter = bucket.parameters[k];
        parameter.set_data(flat.narrow(0, bucket.begins[k], parameter.numel()).view(parameter.sizes()));
      }
    }
  decoder_.set_gate(nullptr);
}

}  // namespace attnlab
