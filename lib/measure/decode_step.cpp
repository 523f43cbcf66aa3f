#include "measure/decode_step.h"

#include "core/errors.h"
#include "measure/bench_models.h"

namespace attnlab {
namespace {

constexpr const char* kMaterialised = "mla_materialised";
constexpr const char* kAbsorbed = "mla_absorbed";

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

std::vector<std::string> decode_form_names() {
  std::vector<std::string> names{kMaterialised, kAbsorbed};
  for (const auto& name : variant_names())
    if (variant_made_by(*variant_defaults(name)) != MadeBy::nothing) names.push_back(name);
  return names;
}

ModelForm decode_form(DecodeShape shape, const std::string& form, const MlaWidths& widths) {
  DecoderConfig config = shape_config(numbers_of(shape));
  if (form != kMaterialised && form != kAbsorbed) {
    const VariantConfig variant = *variant_defaults(form);
    if (const auto problem = variant_problem(config.attention_shape(), variant)) throw InputError(*problem);
    return {config, variant};
  }
  config.family = Family::deepseek_v3;
  config.n_kv_heads = config.n_heads;
  config.mla = MlaShape{.kv_lora_rank = widths.kv_lora_rank,
                        .qk_nope_head_dim = config.head_dim,
                        .qk_rope_head_dim = widths.qk_rope_head_dim,
                        .v_head_dim = config.head_dim};
  return {config, DeepseekMla::Config{.absorb = form == kAbsorbed}};
}

std::shared_ptr<Decoder> random_decoder(const ModelForm& form, torch::ScalarType dtype, torch::Device device) {
  auto decoder = std::make_shared<Decoder>(form);  // its values are never touched
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
    : decoder_(decoder), context_(context), states_(decoder.make_states(B, context + 1)) {
  const torch::NoGradGuard no_grad;
  const auto options = torch::dtype(torch::kInt64).device(decoder.device());
  rotary_ = decoder.rotary_at(torch::arange(context + 1, options).unsqueeze(0),
                              torch::full({1}, context + 1, options));
  tokens_B1_ = torch::zeros({B, 1}, options);
  for (size_t i = 0; i < states_.size(); ++i) {
    const auto layout = decoder.layers()[i]->mixer()->state_layout();
    for (size_t slot = 0; slot < layout.size(); ++slot)
      states_[i].remember(slot,
                          torch::randn({B, context, layout[slot].width}, decoder.output_weight().options()));
  }
}

void DecodeStep::operator()() {
  const torch::NoGradGuard no_grad;
  for (auto& state : states_) state.rewind(context_);
  const auto hidden_B1D =
      decoder_.hidden(tokens_B1_, {.sequence = {.begin = context_, .rotary = rotary_}, .states = &states_});
  tokens_B1_.copy_(decoder_.logits(hidden_B1D).argmax(-1));
}

}  // namespace attnlab
