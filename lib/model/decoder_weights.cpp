#include "model/decoder_weights.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/ranges.h>

#include <cmath>

#include "core/errors.h"

namespace attnlab {
namespace {

// Names and shapes of a decoder's parameters.
std::map<std::string, std::vector<int64_t>> expected_shapes(const DecoderConfig& config) {
  std::map<std::string, std::vector<int64_t>> shapes;
  const Decoder decoder(config, Gqa::Config{});
  for (const auto& parameter : decoder.named_parameters())
    shapes[parameter.key()] = parameter.value().sizes().vec();
  return shapes;
}

// Present in some checkpoints, without effect: tied output matrices and buffers of rotary frequencies.
bool is_redundant(const std::string& name, const DecoderConfig& config) {
  return (config.tie_embeddings && name == "lm_head.weight") || name.ends_with("rotary_emb.inv_freq");
}

std::vector<std::string> keys_of(const std::map<std::string, std::vector<int64_t>>& shapes) {
  std::vector<std::string> names;
  for (const auto& [name, unused] : shapes) names.push_back(name);
  return names;
}

GqaWeights take_layer(const TensorMap& base, const std::string& prefix) {
  const auto find = [&](const char* name) {
    const auto found = base.find(prefix + name);
    return found == base.end() ? torch::Tensor() : found->second;
  };
  return {.q_weight = find("q_proj.weight"),
          .k_weight = find("k_proj.weight"),
          .v_weight = find("v_proj.weight"),
          .o_weight = find("o_proj.weight"),
          .q_bias = find("q_proj.bias"),
          .k_bias = find("k_proj.bias"),
          .v_bias = find("v_proj.bias"),
          .o_bias = find("o_proj.bias")};
}

}  // namespace

TensorMap read_base_weights(const Checkpoint& checkpoint, const DecoderConfig& config) {
  const auto shapes = expected_shapes(config);
  const auto refuse = [&](const std::string& name, const std::string& found, const std::string& expected) {
    throw InputError(BadInput{.file = checkpoint.folder().string(),
                              .key = name,
                              .found = found,
                              .expected = expected,
                              .nearest = shapes.count(name) ? "" : nearest_name(name, keys_of(shapes))});
  };
  TensorMap weights;
  for (const auto& [name, shape] : shapes) {
    const auto wanted = fmt::format("a tensor of shape [{}]", fmt::join(shape, ", "));
    if (!checkpoint.has(name)) refuse(name, "no such tensor", wanted);
    weights[name] = checkpoint.tensor(name);
    if (weights[name].sizes().vec() != shape)
      refuse(name, fmt::format("shape [{}]", fmt::join(weights[name].sizes().vec(), ", ")), wanted);
    if (!weights[name].is_floating_point())
      refuse(name, "whole numbers", wanted + " of floating-point numbers");
    weights[name] = weights[name].to(torch::kFloat32);
  }
  for (const auto& name : checkpoint.names())
    if (!shapes.count(name) && !is_redundant(name, config))
      refuse(name, "a tensor that the model does not have", "only tensors that config.json implies");
  return weights;
}

TensorMap random_base_weights(const DecoderConfig& config, uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const double deviation = 0.02, residual = deviation / std::sqrt(2.0 * static_cast<double>(config.n_layers));
  TensorMap weights;
  for (const auto& [name, shape] : expected_shapes(config)) {
    if (name.ends_with("norm.weight")) {
      weights[name] = torch::ones(shape);
    } else if (name.ends_with(".bias")) {
      weights[name] = torch::zeros(shape);
    } else {
      const bool writes = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
      weights[name] = torch::empty(shape).normal_(0, writes ? residual : deviation, generator);
    }
  }
  return weights;
}

TensorMap convert_weights(const TensorMap& base, const DecoderConfig& config, const VariantConfig& variant) {
  TensorMap out;
  for (const auto& [name, tensor] : base)
    if (name.find(".self_attn.") == std::string::npos) out[name] = tensor;
  for (int64_t i = 0; i < config.n_layers; ++i) {
    const std::string prefix = fmt::format("model.layers.{}.self_attn.", i);
    for (auto& [name, tensor] : convert_from_gqa(config.attention_shape(), variant, take_layer(base, prefix)))
      out[prefix + name] = tensor;
  }
  return out;
}

void load_weights(Decoder& decoder, const TensorMap& weights) {
  const torch::NoGradGuard no_grad;
  for (auto& parameter : decoder.named_parameters()) {
    const auto found = weights.find(parameter.key());
    ATTNLAB_CHECK(found != weights.end() && found->second.sizes() == parameter.value().sizes());
    parameter.value().copy_(found->second);
  }
}

TensorMap copy_weights(const Decoder& decoder) {
  TensorMap out;
  for (const auto& parameter : decoder.named_parameters())
    out[parameter.key()] = parameter.value().detach().to(torch::kCPU);
  return out;
}

}  // namespace attnlab
