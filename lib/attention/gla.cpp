#include "attention/gla.h"

#include <fmt/format.h>

#include <algorithm>

#include "attention/grouped_latent.h"

namespace attnlab {
namespace {

int64_t latents_of(const AttentionShape& shape, const Gla::Config& config) {
  return config.latent_heads.value_or(shape.n_kv_heads % 2 == 0 ? 2 : 1);
}

// Keys and values of a latent's KV heads.
int64_t whole_width(const AttentionShape& shape, const Gla::Config& config) {
  return 2 * shape.head_dim * shape.n_kv_heads / latents_of(shape, config);
}

GroupedLatentForm gla_form(const AttentionShape& shape, const Gla::Config& config) {
  return {.latents = latents_of(shape, config),
          .width = config.latent_width.value_or(whole_width(shape, config)),
          .rope = gathered_width(shape, gathered_rotary(config)),
          .up_heads = shape.n_kv_heads,
          .q_bias = shape.qkv_bias,
          .kv_a_bias = shape.qkv_bias,
          .o_bias = shape.o_bias};
}

}  // namespace

std::optional<BadInput> Gla::problem(const AttentionShape& shape, const Config& config) {
  if (auto rotary = shared_rotary_problem(shape, gathered_rotary(config))) return rotary;
  const int64_t latents = latents_of(shape, config);
  if (shape.n_kv_heads % latents != 0)
    return BadInput{.key = "latent_heads",
                    .found = fmt::format("{}", latents),
                    .expected = fmt::format("a divisor of the {} KV heads", shape.n_kv_heads)};
  const int64_t whole = whole_width(shape, config);
  if (config.latent_width.value_or(whole) <= whole) return std::nullopt;
  return BadInput{.key = "latent_width",
                  .found = fmt::format("{}", *config.latent_width),
                  .expected = fmt::format("at most {}, all of its heads' keys and values", whole)};
}

bool Gla::is_exact(const AttentionShape& shape, const Config& config) {
  return keeps_rotary(shape, gathered_rotary(config)) &&
         latent_rank(shape, config) == whole_width(shape, config);
}

int64_t Gla::latent_rank(const AttentionShape& shape, const Config& config) {
  return config.latent_width.value_or(whole_width(shape, config));
}

std::optional<Gla::Config> Gla::with_cache(const AttentionShape& shape, int64_t numbers) {
  Config config;
  const int64_t width = (numbers - turning_dim(shape, config, 0)) / latents_of(shape, config);
  if (width < 1) return std::nullopt;
  config.latent_width = std::min(width, whole_width(shape, config));
  return config;
}

std::shared_ptr<Mixer> Gla::make(const AttentionShape& shape, const Config& config) {
  return std::make_shared<GroupedLatentAttention>(shape, gla_form(shape, config), config.absorb);
}

TensorMap Gla::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  return gla_from_moments(shape, config, gqa, white_moment).tensors;
}

GroupedLatents gla_from_moments(const AttentionShape& shape, const Gla::Config& config, const GqaWeights& gqa,
                                const SecondMoment& moment) {
  return grouped_latents(shape, gla_form(shape, config), gqa, gathered_rotary(config), moment);
}

}  // namespace attnlab
