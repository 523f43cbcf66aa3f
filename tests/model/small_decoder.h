// A small decoder for tests.
#pragma once

#include "config/node.h"
#include "model/decoder.h"
#include "model/decoder_weights.h"
#include "model/variant_options.h"

namespace attnlab::test {

inline DecoderConfig small_config() {
  return {.vocab_size = 37,
          .d_model = 20,
          .n_layers = 2,
          .n_heads = 6,
          .n_kv_heads = 2,
          .head_dim = 6,
          .d_ff = 28,
          .max_positions = 64,
          .tie_embeddings = false};
}

// DeepSeek-V3's: latent attention, a dense MLP, then experts with a bias on the choice.
inline DecoderConfig small_experts() {
  return {.family = Family::deepseek_v3,
          .vocab_size = 37,
          .d_model = 20,
          .n_layers = 2,
          .n_heads = 3,
          .n_kv_heads = 3,
          .head_dim = 9,
          .d_ff = 28,
          .max_positions = 64,
          .norm_eps = 1e-6,
          .moe = MoeShape{.n_experts = 6,
                          .experts_per_token = 2,
                          .d_ff = 7,
                          .n_shared = 1,
                          .first_layer = 1,
                          .score = RouterScore::sigmoid,
                          .n_groups = 3,
                          .groups_per_token = 2,
                          .scale = 2.5},
          .mla = MlaShape{.kv_lora_rank = 7, .qk_nope_head_dim = 5, .qk_rope_head_dim = 4, .v_head_dim = 3}};
}

// Weights of deviation 0.3, so that attention is far from uniform and errors are far above rounding.
inline TensorMap lively_weights(const DecoderConfig& config, uint64_t seed = 1) {
  TensorMap weights = random_base_weights(config, seed);
  for (auto& [name, tensor] : weights)
    if (tensor.dim() >= 2) tensor = tensor * (0.3 / tensor.std().item<double>());
  return weights;
}

// `base`: weights of the form's own config.
inline std::shared_ptr<Decoder> make_decoder(const ModelForm& form, const TensorMap& base) {
  auto decoder = std::make_shared<Decoder>(form);
  load_weights(*decoder, convert_weights(base, form));
  return decoder;
}
inline std::shared_ptr<Decoder> make_decoder(const DecoderConfig& config, const TensorMap& base,
                                             const VariantConfig& variant) {
  return make_decoder(ModelForm(config, variant), base);
}

// By its name, with options in YAML ("kv_lora_rank: 9"), so that what includes this reads no variant's header.
inline VariantConfig variant_of(const std::string& name, const std::string& options = "") {
  return with_options(variant_defaults(name).value(), parse_yaml(options, "options"));
}

// Layers of gqa and of mla_deepseek, in turn; and layers of three variants.
inline ModelForm two_variants(const DecoderConfig& config) {
  ModelForm form = native_form(config);
  for (size_t i = 1; i < form.layers.size(); i += 2)
    form.layers[i] = variant_of("mla_deepseek", "kv_lora_rank: 9");
  return form;
}
inline ModelForm three_variants(DecoderConfig config) {
  config.n_layers = 3;
  return {config,
          {variant_of("mla_v2", "rope: extend"), variant_of("mla_orthogonal", "rank: 3"), variant_of("gqa")}};
}

// Every variant in all layers, and the two hybrids.
inline std::vector<ModelForm> all_forms(const DecoderConfig& config) {
  std::vector<ModelForm> forms;
  for (const auto& name : variant_names_for(config.attention_shape()))
    forms.emplace_back(config, *variant_defaults(name));
  forms.push_back(two_variants(config));
  forms.push_back(three_variants(config));
  return forms;
}

inline torch::Tensor random_ids(int64_t B, int64_t T, int64_t vocab_size, int64_t seed = 3) {
  torch::manual_seed(static_cast<uint64_t>(seed));
  return torch::randint(vocab_size, {B, T}, torch::kInt64);
}

}  // namespace attnlab::test
