#include "measure/decode_step.h"

#include "measure/bench_models.h"

namespace attnlab {
namespace {

ShapeNumbers numbers_of(DecodeShape shape) {
  switch (shape) {
    case DecodeShape::llama2_7b:
      return kLlama2_7b;
    case DecodeShape::qwen2_5_7b:
      return kQwen2_5_7b;
    case DecodeShape::qwen2_5_0_5b:
      return kQwen2_5_0_5b;
    case DecodeShape::small:
      break;
  }
  return {Family::llama, 512, 128, 2, 8, 2, 16, 256};
}

}  // namespace

DecoderConfig decode_config(DecodeShape shape, DecodeForm form, int64_t kv_lora_rank,
                            int64_t qk_rope_head_dim) {
  DecoderConfig config = shape_config(numbers_of(shape));
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
  VariantConfig variant = native_variant(config);
  if (auto* mla = std::get_if<DeepseekMla::Config>(&variant)) mla->absorb = form == DecodeForm::mla_absorbed;
  auto decoder = std::make_shared<Decoder>(config, variant);  // its values are never touched
  fill_randomly(*decoder, dtype, device, 0, 0.02);
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
