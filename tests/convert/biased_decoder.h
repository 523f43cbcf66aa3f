// A small GQA decoder with biases, several query heads for each KV head, and text to convert it with.
#pragma once

#include "convert/calibration_text.h"
#include "convert/memory_conversion.h"
#include "small_decoder.h"

namespace attnlab::test {

inline DecoderConfig biased_config() {
  DecoderConfig config = small_config();
  config.family = Family::qwen2;
  config.head_dim = 8;
  config.n_layers = 3;
  config.qkv_bias = config.o_bias = true;
  return config;
}

inline TensorMap biased_weights(const DecoderConfig& config) {
  TensorMap weights = lively_weights(config);
  torch::manual_seed(11);
  for (auto& [name, tensor] : weights)
    if (name.ends_with(".bias")) tensor = 0.3 * torch::randn(tensor.sizes());
  return weights;
}

inline ConversionData random_data(const DecoderConfig& config, int64_t rows = 8) {
  return {make_batches(random_rows(config.vocab_size, rows, 24, 1)),
          make_batches(random_rows(config.vocab_size, 2, 24, 2))};
}

// `weights` must live as long.
inline ModelSource source_of(const DecoderConfig& config, const TensorMap& weights,
                             const Devices& devices = torch::kCPU) {
  const auto layer = [&weights](int64_t layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    TensorMap tensors;
    for (const auto& [name, tensor] : weights)
      if (name.starts_with(prefix)) tensors[name.substr(prefix.size())] = tensor;
    return tensors;
  };
  return {.form = native_form(config), .layer = layer, .outer = weights, .devices = devices};
}

inline MemoryConversion convert_small(const DecoderConfig& config, const TensorMap& weights,
                                      const VariantConfig& variant, const TransformOptions& options = {}) {
  const auto transform = make_transform(config, variant, options);
  return convert_in_memory(config, weights, *transform, random_data(config), torch::kCPU,
                           [](const std::string&, int64_t, int64_t) {});
}

// What the first layer's attention sees of the calibration text, [P, D] float64.
inline torch::Tensor first_inputs(const DecoderConfig& config, const TensorMap& weights) {
  std::vector<torch::Tensor> rows;
  for (const auto& ids : random_data(config).calibration.ids_BT) {
    const auto x = torch::embedding(weights.at("model.embed_tokens.weight"), ids).to(torch::kFloat64);
    const auto rms = (x.square().mean(-1, true) + config.norm_eps).sqrt();
    rows.push_back((x / rms * weights.at("model.layers.0.input_layernorm.weight")).flatten(0, 1));
  }
  return torch::cat(rows);
}

inline torch::Tensor logits_of(const ModelForm& form, const TensorMap& weights, const torch::Tensor& ids) {
  Decoder decoder(form);
  load_weights(decoder, weights);
  const torch::NoGradGuard no_grad;
  return decoder.logits(decoder.hidden(ids));
}

}  // namespace attnlab::test
