#include "model/kv_budget.h"

#include <fmt/format.h>

#include <algorithm>

#include "attention/cache_fit.h"
#include "attention/deepseek_mla.h"
#include "attention/gqa.h"
#include "attention/linear.h"
#include "attention/mixer.h"
#include "core/errors.h"

namespace attnlab {
namespace {

// Sizes in a config may be as large as 2^31 each; their products must stay in int64_t. Bounds from above, in
// doubles: no matrix of any form is wider or taller than `widest`, and a layer has fewer than 16 of them.
void require_countable(const DecoderConfig& c, const LatentRanks& ranks = {}) {
  const MlaShape mla = c.mla.value_or(MlaShape{});
  const int64_t head =
      2 * c.head_dim + mla.qk_nope_head_dim + mla.v_head_dim + mla.qk_rope_head_dim + ranks.qk_rope_head_dim;
  const MoeShape moe = c.moe.value_or(MoeShape{});
  const RecurrentShape recurrent = c.recurrent.value_or(RecurrentShape{});
  const int64_t inner =
      4 * recurrent.inner + recurrent.step_rank + 4 * std::max<int64_t>(recurrent.groups, 1) * recurrent.state;
  const int64_t longest =
      std::max({c.d_model, c.d_ff, inner, moe.d_ff, mla.q_lora_rank, mla.kv_lora_rank, ranks.kv_lora_rank});
  const double widest =
      std::max(static_cast<double>(longest), static_cast<double>(c.n_heads) * static_cast<double>(head));
  const double layers = static_cast<double>(c.n_layers) *
                        std::max(1.0, static_cast<double>(moe.n_experts) + static_cast<double>(moe.n_shared));
  const double most = 16 * layers * widest * widest + 2 * static_cast<double>(c.vocab_size) * widest;
  if (most < 0x1p62) return;
  throw InputError(BadInput{.found = fmt::format("sizes of up to {:.0e} parameters", most),
                            .expected = "sizes that can be counted (below 4e18)"});
}

// A layer's mixer, counted on the module that the variant builds, without its memory.
//
// TransMLA v1 (arXiv 2502.07864v1): each of W_K and W_V [G·H, D] becomes a pair W_b W_a. With R = G·H, W_a has
// the old shape and W_b [N·H, R] is what comes on top: 2 · N·H · G·H numbers. Of GQA's own
// D·N·H (Q) + 2·D·G·H (K, V) + N·H·D (O) that is, where D = N·H, the part 2 G / (2 N + 2 G) = G / (N + G):
// for Qwen2.5-7B (N = 28, G = 4) exactly 1/8, the paper's 12.5 %; so it is for Q and K (the new W_b of the keys
// over D·N·H + D·G·H) and for V and O alone. Over Q, K and V it would be 2 G / (N + 2 G), 22.2 %.
struct Counted {
  int64_t parameters = 0, numbers = 0, state_numbers = 0;
  std::string formula;  // "64 k + 64 v", "a state of 4096"
};

Counted count_mixer(const AttentionShape& shape, const VariantConfig& variant) {
  const ShapesOnly no_memory;
  const auto mixer = make_mixer(shape, variant);
  const StateLayout layout = mixer->state_layout();
  Counted counted{.numbers = numbers_per_token(layout), .state_numbers = fixed_numbers(layout)};
  for (const auto& parameter : mixer->parameters()) counted.parameters += parameter.numel();
  std::vector<std::string> slots;
  for (const auto& slot : layout)
    if (slot.extent == Extent::per_token) slots.push_back(fmt::format("{} {}", slot.width, slot.name));
  if (counted.state_numbers > 0) slots.push_back(fmt::format("a state of {}", counted.state_numbers));
  counted.formula = join(slots, " + ");
  return counted;
}

KvForm form_of(const DecoderConfig& c, const std::string& name, const AttentionShape& shape,
               const VariantConfig& variant, const std::string& formula = "") {
  const Counted layer = count_mixer(shape, variant);
  return {.name = name,
          .formula = formula.empty() ? layer.formula : formula,
          .numbers = layer.numbers,
          .state_numbers = c.n_layers * layer.state_numbers,
          .attention_params = c.n_layers * layer.parameters};
}

KvForm deepseek_form(const DecoderConfig& c, const MlaShape& mla) {
  AttentionShape shape = c.attention_shape();
  shape.mla = mla;
  return form_of(c, "deepseek_mla", shape, DeepseekMla::Config{},
                 fmt::format("{} latent + {} rotary", mla.kv_lora_rank, mla.qk_rope_head_dim));
}

// The name that a number of KV heads has.
const char* reading_name(const DecoderConfig& c, int64_t G) {
  return G == c.n_heads ? "mha" : G == 1 ? "mqa" : "gqa";
}

KvForm reading(const DecoderConfig& c, int64_t G) {
  AttentionShape shape = c.attention_shape();
  shape.n_kv_heads = G;
  return form_of(c, reading_name(c, G), shape, Gqa::Config{},
                 fmt::format("2 x {} KV heads x {}", G, c.head_dim));
}

std::vector<KvForm> forms_of_gqa(const DecoderConfig& c, const LatentRanks& ranks, double share) {
  std::vector<KvForm> forms{reading(c, c.n_kv_heads)};
  for (const int64_t G : {c.n_heads, int64_t{1}})
    if (G != c.n_kv_heads) forms.push_back(reading(c, G));
  const AttentionShape shape = c.attention_shape();
  const int64_t numbers = numbers_at(share, forms.front().numbers);
  for (const auto& name : variant_names_for(shape)) {
    if (name == Gqa::kName) continue;
    VariantConfig variant = *variant_defaults(name);
    if (share < 1 && fit_to_cache(variant, shape, numbers)) continue;
    forms.push_back(kv_form({c, variant}));
    forms.back().own = false;
  }
  // What TransMLA's conversion gives: each head keeps its width beside the rotary part, queries stay whole.
  forms.push_back(deepseek_form(c, {.kv_lora_rank = ranks.kv_lora_rank,
                                    .qk_nope_head_dim = c.head_dim,
                                    .qk_rope_head_dim = ranks.qk_rope_head_dim,
                                    .v_head_dim = c.head_dim}));
  return forms;
}

std::vector<KvForm> forms_of_mla(const DecoderConfig& c, const LatentRanks& ranks) {
  const MlaShape& mla = *c.mla;
  std::vector<KvForm> forms{deepseek_form(c, mla)};
  const int64_t qk = mla.qk_nope_head_dim + mla.qk_rope_head_dim;
  forms.push_back({.name = "mha",
                   .formula = fmt::format("{} heads x ({} + {})", c.n_heads, qk, mla.v_head_dim),
                   .numbers = c.n_heads * (qk + mla.v_head_dim),
                   .attention_params = forms.front().attention_params});
  MlaShape other = mla;
  other.kv_lora_rank = ranks.kv_lora_rank;
  other.qk_rope_head_dim = ranks.qk_rope_head_dim;
  if (other.kv_lora_rank != mla.kv_lora_rank || other.qk_rope_head_dim != mla.qk_rope_head_dim)
    forms.push_back(deepseek_form(c, other));
  return forms;
}

}  // namespace

namespace {

// One layer's experts, router and shared experts; and of them what a token does not go through.
struct ExpertCounts {
  int64_t all = 0, idle = 0;
};
ExpertCounts count_experts(const DecoderConfig& c) {
  if (!c.moe) return {};
  const int64_t expert = 3 * c.d_model * c.moe->d_ff;
  const int64_t router = c.moe->n_experts * (c.d_model + (c.moe->score == RouterScore::sigmoid ? 1 : 0));
  return {.all = (c.moe->n_experts + c.moe->n_shared) * expert + router,
          .idle = (c.moe->n_experts - c.moe->experts_per_token) * expert};
}

}  // namespace

ParameterCounts count_parameters(const DecoderConfig& c) {
  require_countable(c);
  const FamilyTraits& traits = traits_of(c.family);
  const int64_t D = c.d_model, norm = traits.layer_norms ? 2 * D : D;
  const int64_t layer_norms = traits.sandwich_norms ? 4 : traits.has_mlp ? 2 : 1;
  int64_t mlp = 3 * D * c.d_ff + (c.mlp_bias ? 2 * c.d_ff + D : 0);
  if (traits.channel_mixing) mlp = 2 * D * c.d_ff + D * D + 2 * D;
  if (!traits.has_mlp) mlp = 0;
  ParameterCounts counts;
  counts.embedding = c.vocab_size * D;
  counts.output = c.tie_embeddings ? 0 : counts.embedding;
  counts.attention = c.n_layers * count_mixer(c.attention_shape(), native_variant(c)).parameters;
  const ExpertCounts experts = count_experts(c);
  const int64_t sparse = c.layers_with_experts();
  counts.mlp = sparse * experts.all + (c.n_layers - sparse) * mlp;
  counts.norms = (c.n_layers * layer_norms + 1 + (traits.layer_norms ? 1 : 0)) * norm;
  counts.active = counts.total() - sparse * experts.idle;
  return counts;
}

std::vector<KvForm> kv_forms(const DecoderConfig& config, const LatentRanks& ranks, double share) {
  require_countable(config, ranks);
  auto forms = config.recurrent ? std::vector<KvForm>{kv_form(native_form(config))}
               : config.mla     ? forms_of_mla(config, ranks)
                                : forms_of_gqa(config, ranks, share);
  forms.front().own = true;
  return forms;
}

KvForm kv_form(const ModelForm& form) {
  require_countable(form.config);
  KvForm out{.name = form_name(form), .own = true};
  int64_t numbers = 0;
  bool alike = true;  // all layers
  for (int64_t i = 0; i < form.config.n_layers; ++i) {
    const Counted layer = count_mixer(form.attention_shape(i), form.of(i));
    if (i > 0 && layer.formula != out.formula) alike = false;
    out.formula = layer.formula;
    numbers += layer.numbers;
    out.state_numbers += layer.state_numbers;
    out.attention_params += layer.parameters;
  }
  out.numbers = numbers / form.config.n_layers;
  if (!alike) out.formula = fmt::format("{} in all / {} layers", numbers, form.config.n_layers);
  return out;
}

double cached_tokens(const DecoderConfig& config, int64_t context) {
  const int64_t named = static_cast<int64_t>(config.window_layers.size());
  const int64_t windowed = config.window == 0 ? 0 : named > 0 ? named : config.n_layers;
  const int64_t kept = std::min(context, config.window);
  return static_cast<double>(windowed) * static_cast<double>(kept) +
         static_cast<double>(config.n_layers - windowed) * static_cast<double>(context);
}

double cache_bytes(const DecoderConfig& config, const KvForm& form, const KvDemand& demand) {
  const double of_tokens = cached_tokens(config, demand.context) * static_cast<double>(form.numbers) *
                           static_cast<double>(demand.bits) / 8;
  return static_cast<double>(demand.batch) * (of_tokens + 4 * static_cast<double>(form.state_numbers));
}

}  // namespace attnlab
