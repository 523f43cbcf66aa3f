#include "model/decoder_weights.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/ranges.h>

#include <cmath>

#include "core/errors.h"
#include "model/families/families.h"

namespace attnlab {
namespace {

using Shapes = std::map<std::string, std::vector<int64_t>>;

// Names and shapes of a decoder's parameters. Throws c10::Error where a product of sizes overflows.
Shapes parameter_shapes(const DecoderConfig& config) {
  Shapes shapes;
  const ShapesOnly no_memory;
  const Decoder decoder(config, native_variant(config));
  for (const auto& parameter : decoder.named_parameters())
    shapes[parameter.key()] = parameter.value().sizes().vec();
  return shapes;
}

// Sizes come from a file that may be hostile.
Shapes parameter_shapes(const DecoderConfig& config, const Checkpoint& checkpoint) {
  try {
    return parameter_shapes(config);
  } catch (const c10::Error&) {
    throw InputError(BadInput{.file = (checkpoint.folder() / "config.json").string(),
                              .found = "sizes whose product overflows",
                              .expected = "the shapes of the tensors beside it"});
  }
}

// The same in the family's files: parts of one tensor are stacked by rows.
Shapes file_shapes(const DecoderConfig& config, const Shapes& parameters) {
  Shapes shapes;
  for (const auto& [name, shape] : parameters) {
    const auto [place, isnew] = shapes.emplace(file_tensor(config, name).name, shape);
    if (!isnew) place->second[0] += shape[0];
  }
  return shapes;
}

// Present in some checkpoints, without effect: tied output matrices and buffers of rotary frequencies.
bool is_redundant(const std::string& name, const DecoderConfig& config) {
  return (config.tie_embeddings && name == "lm_head.weight") || name.ends_with("rotary_emb.inv_freq");
}

std::vector<std::string> keys_of(const Shapes& shapes) {
  std::vector<std::string> names;
  for (const auto& [name, unused] : shapes) names.push_back(name);
  return names;
}

// Every tensor that the config implies is there with its shape, and no other. Looks at headers only.
void check_tensors(const Checkpoint& checkpoint, const DecoderConfig& config, const Shapes& shapes) {
  const auto refuse = [&](const std::string& name, const std::string& found, const std::string& expected) {
    throw InputError(BadInput{.file = checkpoint.folder().string(),
                              .key = name,
                              .found = found,
                              .expected = expected,
                              .nearest = shapes.count(name) ? "" : nearest_name(name, keys_of(shapes))});
  };
  for (const auto& [name, shape] : shapes) {
    const auto wanted = fmt::format("a tensor of shape [{}]", fmt::join(shape, ", "));
    if (!checkpoint.has(name)) refuse(name, "no such tensor", wanted);
    if (checkpoint.shape(name) != shape)
      refuse(name, fmt::format("shape [{}]", fmt::join(checkpoint.shape(name), ", ")), wanted);
    if (!at::isFloatingType(checkpoint.dtype(name)))
      refuse(name, "whole numbers", wanted + " of floating-point numbers");
  }
  for (const auto& name : checkpoint.names())
    if (!shapes.count(name) && !is_redundant(name, config))
      refuse(name, "a tensor that the model does not have", "only tensors that config.json implies");
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
          .o_bias = find("o_proj.bias"),
          .q_norm = find("q_norm.weight"),
          .k_norm = find("k_norm.weight")};
}

}  // namespace

TensorMap read_base_weights(const Checkpoint& checkpoint, const DecoderConfig& config,
                            torch::ScalarType dtype) {
  const Shapes parameters = parameter_shapes(config, checkpoint);
  check_tensors(checkpoint, config, file_shapes(config, parameters));
  TensorMap weights, whole;  // whole: fused tensors, of which parameters are views
  for (const auto& [name, shape] : parameters) {
    const FileTensor place = file_tensor(config, name);
    if (!place.part) {
      weights[name] = checkpoint.tensor_as(name, dtype);
      continue;
    }
    if (!whole.count(place.name)) whole[place.name] = checkpoint.tensor_as(place.name, dtype);
    weights[name] = whole[place.name].narrow(0, place.first_row, shape[0]);
  }
  return weights;
}

TensorMap random_base_weights(const DecoderConfig& config, uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const double deviation = 0.02, residual = deviation / std::sqrt(2.0 * static_cast<double>(config.n_layers));
  TensorMap weights;
  for (const auto& [name, shape] : parameter_shapes(config)) {
    if (name.ends_with("norm.weight")) {
      weights[name] = traits_of(config.family).norm_plus_one ? torch::zeros(shape) : torch::ones(shape);
    } else if (name.ends_with(".bias")) {
      weights[name] = torch::zeros(shape);
    } else {
      const bool writes =
          name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight") || name.ends_with(".w2.weight");
      weights[name] = torch::empty(shape).normal_(0, writes ? residual : deviation, generator);
    }
  }
  return weights;
}

TensorMap convert_weights(const TensorMap& base, const DecoderConfig& config, const VariantConfig& variant) {
  if (config.mla) {
    ATTNLAB_CHECK(std::holds_alternative<DeepseekMla::Config>(variant));
    return base;
  }
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

std::shared_ptr<Decoder> load_decoder(const Checkpoint& checkpoint, torch::ScalarType dtype,
                                      torch::Device device) {
  const auto config = read_decoder_config(checkpoint.config(), checkpoint.folder() / "config.json");
  const TensorMap weights = read_base_weights(checkpoint, config, dtype);
  auto decoder = std::make_shared<Decoder>(config, native_variant(config));
  for (auto& parameter : decoder->named_parameters()) {
    parameter.value().requires_grad_(false);
    parameter.value().set_data(weights.at(parameter.key()));
  }
  decoder->to(device);
  decoder->eval();
  return decoder;
}

TensorMap to_file_tensors(const DecoderConfig& config, const TensorMap& weights) {
  TensorMap out;
  std::map<std::string, std::map<int64_t, torch::Tensor>> parts;  // fused tensor → first row → rows
  for (const auto& [name, tensor] : weights) {
    const FileTensor place = file_tensor(config, name);
    if (place.part)
      parts[place.name][place.first_row] = tensor;
    else
      out[name] = tensor;
  }
  for (const auto& [name, rows] : parts) {
    std::vector<torch::Tensor> ordered;
    for (const auto& [first, tensor] : rows) ordered.push_back(tensor);
    out[name] = torch::cat(ordered, 0);
  }
  return out;
}

}  // namespace attnlab
