#include "decode_step.h"

namespace attnlab {
namespace {

DecoderConfig released(DecodeShape shape) {
  DecoderConfig c;
  const auto set = [&](Family family, int64_t V, int64_t D, int64_t layers, int64_t N, int64_t G,
                       int64_t d_ff) {
    c.family = family, c.vocab_size = V, c.d_model = D, c.n_layers = layers;
    c.n_heads = N, c.n_kv_heads = G, c.head_dim = D / N, c.d_ff = d_ff;
    c.qkv_bias = family == Family::qwen2;
  };
  switch (shape) {
    case DecodeShape::llama2_7b:
      set(Family::llama, 32000, 4096, 32, 32, 32, 11008);
      break;
    case DecodeShape::qwen2_5_7b:
      set(Family::qwen2, 152064, 3584, 28, 28, 4, 18944);
      break;
    case DecodeShape::qwen2_5_0_5b:
      set(Family::qwen2, 151936, 896, 24, 14, 2, 4864);
      c.tie_embeddings = true;
      break;
    case DecodeShape::small:
      set(Family::llama, 512, 128, 2, 8, 2, 256);
      break;
  }
  return c;
}

}  // namespace

DecoderConfig decode_config(DecodeShape shape, DecodeForm form, int64_t kv_lora_rank,
                            int64_t qk_rope_head_dim) {
  DecoderConfig config = released(shape);
  if (form == DecodeForm::gqa) return config;
  config.family = Family::deepseek_v3;
  config.n_kv_heads = config.n_heads;
  config.mla = MlaShape{.kv_lora_rank = kv_lora_rank,
                        .qk_nope_head_dim = config.head_dim,
                        .qk_rope_head_dim = qk_rope_head_dim,
                        .v_head_dim = config.head_dim};
  return config;
}

std::shared_ptr<Decoder> random_decoder(const DecoderConfig& config, DecodeForm form, torch::ScalarType dtype,
                                        torch::Device device) {
  const torch::NoGradGuard no_grad;
  torch::manual_seed(0);
  VariantConfig variant = native_variant(config);
  if (auto* mla = std::get_if<DeepseekMla::Config>(&variant)) mla->absorb = form == DecodeForm::mla_absorbed;
  auto decoder = std::make_shared<Decoder>(config, variant);  // its values are never touched
  for (auto& parameter : decoder->named_parameters()) {
    auto& tensor = parameter.value();
    const bool norm = parameter.key().ends_with("norm.weight");
    tensor.requires_grad_(false);
    const auto options = torch::dtype(dtype).device(device);
    tensor.set_data(torch::empty(tensor.sizes(), options).normal_(norm ? 1 : 0, 0.02));
  }
  decoder->eval();
  return decoder;
}

double decode_bytes(const Decoder& decoder, int64_t B, int64_t context) {
  const DecoderConfig& config = decoder.config();
  int64_t numbers = 0;
  for (const auto& parameter : decoder.parameters()) numbers += parameter.numel();
  if (!config.tie_embeddings) numbers -= config.vocab_size * config.d_model;
  numbers += B * config.d_model + B * (context + 1) * decoder.cached_numbers_per_token();
  return static_cast<double>(numbers) * static_cast<double>(decoder.output_weight().element_size());
}

DecodeStep::DecodeStep(Decoder& decoder, int64_t B, int64_t context)
    : decoder_(decoder), context_(context), caches_(decoder.make_caches(B, context + 1)) {
  const torch::NoGradGuard no_grad;
  const auto options = torch::dtype(torch::kInt64).device(decoder.device());
  rotary_ = decoder.rotary_at(torch::arange(context + 1, options).unsqueeze(0),
                              torch::full({1}, context + 1, options));
  tokens_B1_ = torch::zeros({B, 1}, options);
  for (size_t i = 0; i < caches_.size(); ++i) {
    const auto layout = decoder.layers()[i]->attention()->cache_layout();
    for (size_t slot = 0; slot < layout.size(); ++slot)
      caches_[i].append(slot,
                        torch::randn({B, context, layout[slot].width}, decoder.output_weight().options()));
  }
}

void DecodeStep::operator()() {
  const torch::NoGradGuard no_grad;
  for (auto& cache : caches_) cache.rewind(context_);
  const auto hidden_B1D = decoder_.hidden(tokens_B1_, {.rotary = rotary_, .caches = &caches_});
  tokens_B1_.copy_(decoder_.logits(hidden_B1D).argmax(-1));
}

}  // namespace attnlab
