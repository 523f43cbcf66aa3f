#include "train/pruner.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "core/random.h"
#include "model/decoder_weights.h"

namespace attnlab {
namespace {

PrunedShape shape_of(const DecoderConfig& config) {
  return {.d_model = config.d_model,
          .n_layers = config.n_layers,
          .n_heads = config.n_heads,
          .n_kv_heads = config.n_kv_heads,
          .head_dim = config.head_dim,
          .d_ff = config.d_ff};
}

MaskTargets targets_of(const PruneConfig& config) {
  MaskTargets targets;
  const auto add = [&](MaskKind kind, int64_t kept) {
    if (kept > 0) targets[kind] = kept;
  };
  add(MaskKind::hidden, config.d_model);
  add(MaskKind::layer, config.n_layers);
  add(MaskKind::kv_head, config.n_kv_heads);
  add(MaskKind::intermediate, config.d_ff);
  return targets;
}

at::Generator generator_of(uint64_t seed, const std::string& what, int64_t step) {
  return at::make_generator<at::CPUGeneratorImpl>(
      mix64(seed ^ hash_name(what) ^ mix64(static_cast<uint64_t>(step))));
}

MaskParameters opened(const PrunedShape& shape, const MaskTargets& targets, uint64_t seed) {
  std::vector<MaskKind> kinds;
  for (const auto& [kind, kept] : targets) kinds.push_back(kind);
  return start_masks(shape, kinds, generator_of(seed, "mask start", 0));
}

TrainConfig plain_adam() {
  TrainConfig config;
  config.weight_decay = 0;
  config.clip_norm = 0;
  return config;
}

std::vector<std::pair<std::string, torch::Tensor>> named(const MaskParameters& masks) {
  std::vector<std::pair<std::string, torch::Tensor>> out;
  for (const auto& [kind, alpha] : masks) out.emplace_back(fmt::format("mask/{}", name_of(kind)), alpha);
  return out;
}

std::vector<std::pair<std::string, torch::Tensor>> named(Constraints& constraints) {
  std::vector<std::pair<std::string, torch::Tensor>> out;
  for (const auto& [kind, pair] : constraints.multipliers()) {
    out.emplace_back(fmt::format("multiplier/{}/linear", name_of(*kind)), pair.linear);
    out.emplace_back(fmt::format("multiplier/{}/square", name_of(*kind)), pair.square);
  }
  return out;
}

}  // namespace

Pruner::Pruner(Decoder& decoder, const PruneConfig& config, uint64_t seed)
    : decoder_(decoder),
      config_(config),
      seed_(seed),
      shape_(shape_of(decoder.config())),
      targets_(targets_of(config)),
      alpha_(opened(shape_, targets_, seed)),
      constraints_(shape_, {.targets = targets_, .warm_up = config.warmup_steps}, alpha_),
      mask_optimizer_(named(alpha_), plain_adam()),
      multiplier_optimizer_(named(constraints_), plain_adam()) {}

void Pruner::draw(int64_t step) {
  drawn_.clear();
  leaves_.clear();
  for (auto& [kind, alpha] : alpha_) {
    clamp_mask_parameter(alpha);
    auto generator = generator_of(seed_, std::string(name_of(kind)), step);
    const auto uniform = torch::empty_like(alpha, alpha.options().requires_grad(false))
                             .uniform_(kMaskEdge, 1 - kMaskEdge, generator);
    drawn_[kind] = sampled_mask(alpha, uniform);
    leaves_[kind] = drawn_[kind].detach().requires_grad_();
  }
}

ModelMasks Pruner::masks_of(const MaskParameters& values) const {
  const torch::Device device = decoder_.device();
  ModelMasks masks;
  if (const auto hidden = values.find(MaskKind::hidden); hidden != values.end())
    masks.hidden_D = hidden->second.to(device);
  masks.layers.resize(static_cast<size_t>(shape_.n_layers));
  const auto each = [&](MaskKind kind, const auto& put) {
    const auto found = values.find(kind);
    if (found == values.end()) return;
    const auto value = found->second.to(device);
    for (int64_t i = 0; i < shape_.n_layers; ++i) put(masks.layers[static_cast<size_t>(i)], value[i]);
  };
  each(MaskKind::kv_head, [&](LayerMasks& layer, const torch::Tensor& z_G) {
    layer.heads_N = z_G.repeat_interleave(shape_.n_heads / shape_.n_kv_heads);
  });
  each(MaskKind::intermediate, [](LayerMasks& layer, const torch::Tensor& z_I) { layer.columns_I = z_I; });
  each(MaskKind::layer, [](LayerMasks& layer, const torch::Tensor& z) { layer.attention = layer.mlp = z; });
  return masks;
}

void Pruner::mask() { decoder_.set_masks(masks_of(leaves_)); }

void Pruner::update(int64_t step, bool finite) {
  if (!finite) return;
  for (const auto& [kind, leaf] : leaves_)
    if (leaf.grad().defined()) drawn_.at(kind).backward(leaf.grad());
  constraints_.loss(alpha_, step).backward();
  for (auto& [kind, pair] : constraints_.multipliers())
    for (auto* multiplier : {&pair.linear, &pair.square}) multiplier->mutable_grad().neg_();  // ascent
  mask_optimizer_.set_step(step, config_.mask_lr);
  mask_optimizer_.update();
  multiplier_optimizer_.set_step(step, config_.multiplier_lr);
  multiplier_optimizer_.update();
}

MaskParameters Pruner::evaluated() const {
  MaskParameters values;
  for (const auto& [kind, alpha] : alpha_) {
    auto held = alpha.detach().clone();
    clamp_mask_parameter(held);
    values[kind] = evaluated_mask(held, shape_.size(kind) - targets_.at(kind));
  }
  if (const auto hidden = values.find(MaskKind::hidden); hidden != values.end())
    hidden->second = (hidden->second != 0).to(torch::kFloat32);
  return values;
}

void Pruner::show_cut() { decoder_.set_masks(masks_of(evaluated())); }

CutModel Pruner::cut() const {
  ModelMasks masks = masks_of(evaluated());
  const auto on_cpu = [](torch::Tensor& mask) {
    if (mask.defined()) mask = mask.to(torch::kCPU);
  };
  on_cpu(masks.hidden_D);
  for (auto& layer : masks.layers)
    for (auto* mask : {&layer.heads_N, &layer.columns_I, &layer.attention, &layer.mlp}) on_cpu(*mask);
  return cut_model(decoder_.config(), copy_weights(decoder_), masks);
}

double Pruner::sparsity() const {
  const torch::NoGradGuard no_grad;
  return constraints_.overall_sparsity(alpha_).item<double>();
}

std::vector<std::pair<std::string, torch::Tensor>> Pruner::tensors() const {
  std::vector<std::pair<std::string, torch::Tensor>> out;
  for (const auto* optimizer : {&mask_optimizer_, &multiplier_optimizer_})
    for (const auto& slot : optimizer->slots()) {
      out.emplace_back("prune/parameter/" + slot.name, slot.parameter);
      out.emplace_back("prune/first_moment/" + slot.name, slot.first_moment);
      out.emplace_back("prune/second_moment/" + slot.name, slot.second_moment);
    }
  return out;
}

}  // namespace attnlab
