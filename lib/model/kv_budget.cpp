#include "model/kv_budget.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/errors.h"

namespace attnlab {
namespace {

// Sizes in a config may be as large as 2^31 each; their products must stay in int64_t. Bounds from above, in
// doubles: no matrix of any form is wider or taller than `widest`, and a layer has fewer than 16 of them.
void require_countable(const DecoderConfig& c, const LatentRanks& ranks = {}) {
  const MlaShape mla = c.mla.value_or(MlaShape{});
  const int64_t head =
      2 * c.head_dim + mla.qk_nope_head_dim + mla.v_head_dim + mla.qk_rope_head_dim + ranks.qk_rope_head_dim;
  const int64_t longest = std::max({c.d_model, c.d_ff, mla.q_lora_rank, mla.kv_lora_rank, ranks.kv_lora_rank});
  const double widest =
      std::max(static_cast<double>(longest), static_cast<double>(c.n_heads) * static_cast<double>(head));
  const double layers =
      static_cast<double>(c.n_layers) * static_cast<double>(std::max<int64_t>(1, c.n_experts));
  const double most = 16 * layers * widest * widest + 2 * static_cast<double>(c.vocab_size) * widest;
  if (most < 0x1p62) return;
  throw InputError(BadInput{.found = fmt::format("sizes of up to {:.0e} parameters", most),
                            .expected = "sizes that can be counted (below 4e18)"});
}

// One layer's attention with G KV heads.
int64_t gqa_parameters(const DecoderConfig& c, int64_t G) {
  const int64_t D = c.d_model, q = c.n_heads * c.head_dim, kv = G * c.head_dim;
  const int64_t matrices = D * q + 2 * D * kv + q * D;
  const int64_t biases = (c.qkv_bias ? q + 2 * kv : 0) + (c.o_bias ? D : 0);
  return matrices + biases + (traits_of(c.family).qk_norm ? 2 * c.head_dim : 0);
}

// TransMLA v1 (arXiv 2502.07864v1): each of W_K and W_V [G·H, D] becomes a pair W_b W_a. With R = G·H, W_a has
// the old shape and W_b [N·H, R] is what comes on top: 2 · N·H · G·H numbers. Of GQA's own
// D·N·H (Q) + 2·D·G·H (K, V) + N·H·D (O) that is, where D = N·H, the part 2 G / (2 N + 2 G) = G / (N + G):
// for Qwen2.5-7B (N = 28, G = 4) exactly 1/8, the paper's 12.5 %; so it is for Q and K (the new W_b of the keys
// over D·N·H + D·G·H) and for V and O alone. Over Q, K and V it would be 2 G / (N + 2 G), 22.2 %.
int64_t latent_parameters(const DecoderConfig& c) {
  return gqa_parameters(c, c.n_kv_heads) + 2 * (c.n_heads * c.head_dim) * (c.n_kv_heads * c.head_dim);
}

// DeepSeek-V2 (arXiv 2405.04434), section 2.1; biases where Hugging Face's modules have them.
int64_t deepseek_parameters(const DecoderConfig& c, const MlaShape& mla) {
  const int64_t D = c.d_model, N = c.n_heads, Rq = mla.q_lora_rank, R = mla.kv_lora_rank;
  const int64_t q_width = N * (mla.qk_nope_head_dim + mla.qk_rope_head_dim), down = R + mla.qk_rope_head_dim;
  const int64_t q = Rq == 0 ? D * q_width : D * Rq + Rq + Rq * q_width;
  const int64_t kv = D * down + R + R * N * (mla.qk_nope_head_dim + mla.v_head_dim);
  const int64_t biases = (c.qkv_bias ? down + Rq : 0) + (c.o_bias ? D : 0);
  return q + kv + N * mla.v_head_dim * D + biases;
}

int64_t own_attention_parameters(const DecoderConfig& c) {
  return c.mla ? deepseek_parameters(c, *c.mla) : gqa_parameters(c, c.n_kv_heads);
}

KvForm deepseek_form(const DecoderConfig& c, const MlaShape& mla) {
  return {.name = "deepseek_mla",
          .formula = fmt::format("{} latent + {} rotary", mla.kv_lora_rank, mla.qk_rope_head_dim),
          .numbers = mla.kv_lora_rank + mla.qk_rope_head_dim,
          .attention_params = c.n_layers * deepseek_parameters(c, mla)};
}

// The name that a number of KV heads has.
const char* reading_name(const DecoderConfig& c, int64_t G) {
  return G == c.n_heads ? "mha" : G == 1 ? "mqa" : "gqa";
}

KvForm reading(const DecoderConfig& c, int64_t G) {
  return {.name = reading_name(c, G),
          .formula = fmt::format("2 x {} KV heads x {}", G, c.head_dim),
          .numbers = 2 * G * c.head_dim,
          .attention_params = c.n_layers * gqa_parameters(c, G)};
}

std::vector<KvForm> forms_of_gqa(const DecoderConfig& c, const LatentRanks& ranks) {
  std::vector<KvForm> forms{reading(c, c.n_kv_heads)};
  for (const int64_t G : {c.n_heads, int64_t{1}})
    if (G != c.n_kv_heads) forms.push_back(reading(c, G));
  forms.push_back({.name = "mla_identity",
                   .formula = fmt::format("2 x {} latent", c.n_kv_heads * c.head_dim),
                   .numbers = 2 * c.n_kv_heads * c.head_dim,
                   .attention_params = c.n_layers * latent_parameters(c)});
  forms.push_back(forms.back());
  forms.back().name = "mla_orthogonal";
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

ParameterCounts count_parameters(const DecoderConfig& c) {
  require_countable(c);
  const int64_t D = c.d_model, mlp = 3 * D * c.d_ff, layer_norms = traits_of(c.family).sandwich_norms ? 4 : 2;
  ParameterCounts counts;
  counts.embedding = c.vocab_size * D;
  counts.output = c.tie_embeddings ? 0 : counts.embedding;
  counts.attention = c.n_layers * own_attention_parameters(c);
  counts.mlp = c.n_layers * (c.n_experts > 0 ? c.n_experts * (mlp + D) : mlp);
  counts.norms = (c.n_layers * layer_norms + 1) * D;
  const int64_t idle = c.n_experts > 0 ? c.n_experts - c.experts_per_token : 0;
  counts.active = counts.total() - c.n_layers * idle * mlp;
  return counts;
}

std::vector<KvForm> kv_forms(const DecoderConfig& config, const LatentRanks& ranks) {
  require_countable(config, ranks);
  auto forms = config.mla ? forms_of_mla(config, ranks) : forms_of_gqa(config, ranks);
  forms.front().own = true;
  return forms;
}

double cached_tokens(const DecoderConfig& config, int64_t context) {
  const int64_t named = static_cast<int64_t>(config.window_layers.size());
  const int64_t windowed = config.window == 0 ? 0 : named > 0 ? named : config.n_layers;
  const int64_t kept = std::min(context, config.window);
  return static_cast<double>(windowed) * static_cast<double>(kept) +
         static_cast<double>(config.n_layers - windowed) * static_cast<double>(context);
}

double cache_bytes(const DecoderConfig& config, const KvForm& form, const KvDemand& demand) {
  return cached_tokens(config, demand.context) * static_cast<double>(form.numbers) *
         static_cast<double>(demand.batch) * static_cast<double>(demand.bits) / 8;
}

}  // namespace attnlab
