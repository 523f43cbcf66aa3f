#include "attention/mla_deepseek.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "attention/deepseek_attention.h"
#include "attention/deepseek_stages.h"
#include "core/numbers.h"

namespace attnlab {
namespace {

DeepseekForm form_of(const AttentionShape& shape, const MlaDeepseek::Config& config) {
  return {.sizes = deepseek_sizes(shape, config),
          .q_a_bias = false,
          .q_bias = shape.qkv_bias,
          .kv_a_bias = shape.qkv_bias,
          .o_bias = shape.o_bias,
          .norms = config.latent_norm == LatentNorm::calibrated,
          .score = {.scale = 0, .softcap = shape.score.softcap}};
}

// nullopt: neither "auto" nor a number.
std::optional<int64_t> parse_freqfold(const MlaDeepseek::Config& config) {
  if (config.freqfold == "auto") return config.collapse;
  const auto value = parse_number<int64_t>(config.freqfold);
  if (!value || *value < 1) return std::nullopt;
  return value;
}

BadInput bad(std::string key, std::string found, std::string expected) {
  return {.key = std::move(key), .found = std::move(found), .expected = std::move(expected)};
}

std::optional<BadInput> fold_problem(const AttentionShape& shape, const MlaDeepseek::Config& config) {
  const int64_t half = shape.head_dim / 2;
  const auto freqfold = parse_freqfold(config);
  if (half % config.collapse != 0)
    return bad("collapse", fmt::format("{}", config.collapse),
               fmt::format("a divisor of head_dim / 2 = {}", half));
  if (!freqfold || half % *freqfold != 0 || *freqfold % config.collapse != 0)
    return bad("freqfold", "'" + config.freqfold + "'",
               fmt::format("auto, or a divisor of head_dim / 2 = {} and a multiple of collapse = {}", half,
                           config.collapse));
  return std::nullopt;
}

std::optional<BadInput> rank_problem(const AttentionShape& shape, const MlaDeepseek::Config& config) {
  const int64_t full = full_kv_rank(shape, config), q_full = shape.n_heads * shape.head_dim;
  if (config.kv_lora_rank.value_or(full) > full)
    return bad("kv_lora_rank", fmt::format("{}", *config.kv_lora_rank),
               fmt::format("at most {}, which loses nothing (2 x {} KV heads x {} - {} rotary)", full,
                           shape.n_kv_heads, shape.head_dim, shape.head_dim / config.collapse));
  if (config.q_lora_rank > q_full)
    return bad("q_lora_rank", fmt::format("{}", config.q_lora_rank),
               fmt::format("at most {}, which loses nothing", q_full));
  return std::nullopt;
}

}  // namespace

std::shared_ptr<Mixer> MlaDeepseek::make(const AttentionShape& shape, const Config& config) {
  return std::make_shared<DeepseekAttention>(shape, form_of(shape, config), config.absorb);
}

std::optional<MlaDeepseek::Config> MlaDeepseek::with_cache(const AttentionShape& shape, int64_t numbers) {
  Config config;
  const int64_t rank = numbers - shape.head_dim / config.collapse;
  if (rank < 1) return std::nullopt;
  config.kv_lora_rank = std::min(rank, full_kv_rank(shape, config));
  return config;
}

bool MlaDeepseek::is_exact(const AttentionShape& shape, const Config& config) {
  const bool keeps_rotary = shape.n_kv_heads == 1 && config.collapse == 1;
  const bool whole = latent_rank(shape, config) == full_kv_rank(shape, config) &&
                     (config.q_lora_rank == 0 || config.q_lora_rank == shape.n_heads * shape.head_dim);
  return keeps_rotary && whole && freqfold_of(config) == 1 && config.latent_norm == LatentNorm::neutral;
}

int64_t MlaDeepseek::latent_rank(const AttentionShape& shape, const Config& config) {
  return config.kv_lora_rank.value_or(full_kv_rank(shape, config));
}

std::optional<BadInput> MlaDeepseek::problem(const AttentionShape& shape, const Config& config) {
  if (auto removal = rope_removal_problem(shape)) return removal;
  if (auto fold = fold_problem(shape, config)) return fold;
  return rank_problem(shape, config);
}

TensorMap MlaDeepseek::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  const auto rotation = rotate_keys(shape, config, gqa, white_moment).rotation;
  const auto partial = partial_rope_layer(shape, config, gqa, rotation);
  auto tensors = compress_layer(shape, config, gqa, rotation, partial, white_moment).tensors;
  if (config.latent_norm == LatentNorm::neutral) return tensors;
  return norm_layer(config, unit_norm_layer(config, tensors), white_rms);
}

MlaShape deepseek_sizes(const AttentionShape& shape, const MlaDeepseek::Config& config) {
  return {.q_lora_rank = config.q_lora_rank,
          .kv_lora_rank = config.kv_lora_rank.value_or(full_kv_rank(shape, config)),
          .qk_nope_head_dim = shape.head_dim,
          .qk_rope_head_dim = shape.head_dim / config.collapse,
          .v_head_dim = shape.head_dim,
          .interleaved = true};
}

int64_t full_kv_rank(const AttentionShape& shape, const MlaDeepseek::Config& config) {
  return 2 * shape.n_kv_heads * shape.head_dim - shape.head_dim / config.collapse;
}

int64_t freqfold_of(const MlaDeepseek::Config& config) {
  return parse_freqfold(config).value_or(config.collapse);
}

}  // namespace attnlab
