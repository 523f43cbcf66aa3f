#include "model/decoder_weights.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <cmath>

#include "core/errors.h"

namespace attnlab {
TensorMap random_base_weights(const DecoderConfig& config, uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const double deviation = 0.02, residual = deviation / std::sqrt(2.0 * static_cast<double>(config.n_layers));
  std::map<std::string, std::vector<int64_t>> shapes;  // in order of names, which the generator follows
  {
    const ShapesOnly no_memory;
    for (const auto& parameter : Decoder(native_form(config)).named_parameters())
      shapes[parameter.key()] = parameter.value().sizes().vec();
  }
  TensorMap weights;
  for (const auto& [name, shape] : shapes) {
    if (name.ends_with("norm.weight")) {
      weights[name] = traits_of(config.family).norm_plus_one ? torch::zeros(shape) : torch::ones(shape);
    } else if (name.ends_with(".bias") || name.ends_with("correction_bias")) {
      weights[name] = torch::zeros(shape);
    } else {
      const bool writes =
          name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight") || name.ends_with(".w2.weight");
      weights[name] = torch::empty(shape).normal_(0, writes ? residual : deviation, generator);
    }
  }
  return weights;
}

TensorMap convert_weights(const TensorMap& base, const ModelForm& form) {
  TensorMap out = base;
  for (int64_t i = 0; i < form.config.n_layers; ++i) {
    if (form.of(i).index() == native_variant(form.config).index()) continue;
    ATTNLAB_CHECK(!form.config.mla);  // only GQA is converted
    const std::string prefix = fmt::format("model.layers.{}.self_attn.", i);
    std::vector<GqaWeights> layers;
    for (const int64_t layer : variant_kv_layers(form.config.attention_shape(i), form.of(i)))
      layers.push_back(gqa_weights(base, fmt::format("model.layers.{}.self_attn.", layer)));
    const auto gqa = with_mean_kv(layers);
    std::erase_if(out, [&](const auto& entry) { return entry.first.starts_with(prefix); });
    for (auto& [name, tensor] : convert_from_gqa(form.config.attention_shape(i), form.of(i), gqa))
      out[prefix + name] = tensor;
  }
  return out;
}

void load_weights(Decoder& decoder, const TensorMap& weights) {
  const torch::NoGradGuard no_grad;
  for (const auto& module : decoder.modules(/*include_self=*/false))
    if (auto* linear = dynamic_cast<LinearImpl*>(module.get())) linear->forget_order();
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
  for (const auto& module : decoder.named_modules("", /*include_self=*/false))
    if (const auto* linear = dynamic_cast<const LinearImpl*>(module.value().get());
        linear && linear->packed().order.defined())
      out[module.key() + ".qweight"] = linear->stored_words().detach().to(torch::kCPU);
  return out;
}

}  // namespace attnlab
