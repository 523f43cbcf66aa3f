#include "measure/decode_step.h"

#include <algorithm>

#include "attention/deepseek_mla.h"
#include "attention/side_by_side.h"
#include "core/errors.h"
#include "measure/bench_models.h"
#include "model/variant_options.h"

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
    case DecodeShape::qwen2_5_1_5b:
      return kQwen2_5_1_5b;
    case DecodeShape::qwen2_5_0_5b:
      return kQwen2_5_0_5b;
    case DecodeShape::smollm2_135m:
      return kSmolLm2_135m;
    case DecodeShape::small:
      break;
  }
  return {Family::llama, 512, 128, 2, 8, 2, 16, 256};
}

double weight_bytes(const Decoder& decoder) {
  double bytes = 0;
  for (const auto& parameter : decoder.parameters()) bytes += static_cast<double>(parameter.nbytes());
  return bytes;
}

}  // namespace

std::vector<std::string> decode_form_names() {
  std::vector<std::string> names{kMaterialised, kAbsorbed};
  for (const auto& name : variant_names())
    if (variant_made_by(*variant_defaults(name)) != MadeBy::nothing) names.push_back(name);
  return names;
}

ModelForm decode_form(DecodeShape shape, const std::string& form, const MlaWidths& widths,
                      const Node& options) {
  DecoderConfig config = shape_config(numbers_of(shape));
  if (form != kMaterialised && form != kAbsorbed) {
    const VariantConfig variant = with_options(*variant_defaults(form), options);
    if (const auto problem = variant_problem(config.attention_shape(), variant)) throw InputError(*problem);
    return {config, variant};
  }
  if (!options.entries.empty())
    throw InputError(BadInput{.file = options.file,
                              .key = options.entries.front().key,
                              .found = "an option",
                              .expected = "a variant: " + form + " has --kv-lora-rank and --qk-rope-head-dim"});
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
  lay_side_by_side_on_gpu(*decoder);
  decoder->eval();
  return decoder;
}

double decode_bytes(const Decoder& decoder, int64_t B, int64_t context, const CacheConfig& cache) {
  const DecoderConfig& config = decoder.config();
  const int64_t bytes = decoder.output_weight().element_size();
  const int64_t looked_up = (config.tie_embeddings ? 0 : -config.vocab_size) + B;  // rows of the embedding
  return weight_bytes(decoder) + static_cast<double>(looked_up * config.d_model * bytes) +
         static_cast<double>(B) * decoder.state_bytes(cache, context + 1, bytes);
}

int64_t counted_batch(const Decoder& decoder, double bytes, int64_t tokens, const CacheConfig& cache) {
  const double of_one = decoder.state_bytes(cache, tokens, decoder.output_weight().element_size());
  return std::max<int64_t>(0, static_cast<int64_t>((bytes - weight_bytes(decoder)) / of_one));
}

DecodeStep::DecodeStep(Decoder& decoder, int64_t B, int64_t context, const CachePlan& plan, int64_t most_calls)
    : decoder_(decoder), context_(context) {
  const torch::NoGradGuard no_grad;
  const auto goes_on = [](const LayerState& state) { return !state.can_rewind(); };
  const auto of_one = decoder.make_states(1, context + 1, plan);
  goes_on_ = std::any_of(of_one.begin(), of_one.end(), goes_on);
  const int64_t columns = context + (goes_on_ ? most_calls : 1);
  states_ = decoder.make_states(B, columns, plan);
  const auto options = torch::dtype(torch::kInt64).device(decoder.device());
  rotary_ = decoder.rotary_at(torch::arange(columns, options).unsqueeze(0), torch::full({1}, columns, options));
  tokens_B1_ = torch::zeros({B, 1}, options);
  for (size_t i = 0; i < states_.size(); ++i) fill(states_[i], *decoder.layers()[i]->mixer(), B);
}

// With small random numbers where slots have a fixed size, else any, the same for all sequences (they have no
// memory of their own, so that the caches may take nearly all); a policy that judges by attention is told that
// every token had the same.
void DecodeStep::fill(LayerState& state, const Mixer& mixer, int64_t B) const {
  const auto numbers = decoder_.output_weight().options();
  const Sequence sequence({.T = context_, .device = decoder_.device()});
  state.begin(sequence);
  for (size_t slot = 0; slot < state.layout().size(); ++slot) {
    const StateSlot& of = state.layout()[slot];
    if (of.extent == Extent::fixed) {
      state.replace(slot, 0.01 * torch::randn_like(state.fixed(slot)));
      continue;
    }
    const auto token_1TNH = torch::randn({1, context_, of.heads, of.width / of.heads}, numbers);
    state.remember(slot, token_1TNH.transpose(1, 2).expand({B, -1, -1, -1}));
  }
  const int64_t N = mixer.shape().n_heads, S = context_;
  if (state.wants_attention())
    state.look({.B = B, .N = N, .T = 1, .S = S, .weights = [=](int64_t, int64_t) {
                  return torch::full({B, N, 1, S}, 1 / static_cast<double>(S), numbers.dtype(torch::kFloat32));
                }});
  state.settle(sequence);
}

void DecodeStep::operator()() {
  const torch::NoGradGuard no_grad;
  const int64_t begin = context_ + (goes_on_ ? calls_++ : 0);
  if (!goes_on_)
    for (auto& state : states_) state.rewind(context_);
  read_.clear();
  for (const auto& state : states_)
    for (size_t slot = 0; slot < state.layout().size(); ++slot)
      if (state.layout()[slot].extent == Extent::fixed) read_.push_back(state.fixed(slot));
  std::vector<RotaryTables> rotary;
  for (const auto& [cos, sin] : rotary_)
    rotary.push_back({cos.narrow(1, 0, begin + 1), sin.narrow(1, 0, begin + 1)});
  const auto hidden_B1D =
      decoder_.hidden(tokens_B1_, {.sequence = {.begin = begin, .rotary = rotary}, .states = &states_});
  tokens_B1_.copy_(decoder_.logits(hidden_B1D).argmax(-1));
}

}  // namespace attnlab
