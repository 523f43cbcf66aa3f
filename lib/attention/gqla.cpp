#include "attention/gqla.h"

#include <fmt/format.h>

#include <algorithm>

#include "attention/grouped_latent.h"

namespace attnlab {
namespace {

int64_t whole_rank(const AttentionShape& shape) { return 2 * shape.n_kv_heads * shape.head_dim; }

GroupedLatentForm gqla_form(const AttentionShape& shape, const Gqla::Config& config) {
  return {.latents = 1,
          .width = config.kv_lora_rank.value_or(whole_rank(shape)),
          .rope = shared_fold(shape, 1, config.collapse).rope_dim(),
          .up_heads = shape.n_kv_heads,
          .q_bias = shape.qkv_bias,
          .kv_a_bias = shape.qkv_bias,
          .o_bias = shape.o_bias,
          .keeps_groups = config.decode == GqlaDecode::groups};
}

}  // namespace

std::optional<BadInput> Gqla::problem(const AttentionShape& shape, const Config& config) {
  if (auto rotary = shared_rotary_problem(shape, config.freqfold.value_or(config.collapse), config.collapse))
    return rotary;
  if (latent_rank(shape, config) <= whole_rank(shape)) return std::nullopt;
  return BadInput{.key = "kv_lora_rank",
                  .found = fmt::format("{}", *config.kv_lora_rank),
                  .expected = fmt::format("at most {}, all keys and values", whole_rank(shape))};
}

int64_t Gqla::turning_dim(const AttentionShape& shape, const Config& config, int64_t) {
  return shared_fold(shape, 1, config.collapse).rope_dim();
}

bool Gqla::is_exact(const AttentionShape& shape, const Config& config) {
  return shape.n_kv_heads == 1 && config.collapse == 1 && config.freqfold.value_or(1) == 1 &&
         latent_rank(shape, config) == whole_rank(shape);
}

int64_t Gqla::latent_rank(const AttentionShape& shape, const Config& config) {
  return config.kv_lora_rank.value_or(whole_rank(shape));
}

std::optional<Gqla::Config> Gqla::with_cache(const AttentionShape& shape, int64_t numbers) {
  Config config;
  const int64_t rank = numbers - turning_dim(shape, config, 0);
  if (rank < 1) return std::nullopt;
  config.kv_lora_rank = std::min(rank, whole_rank(shape));
  return config;
}

std::shared_ptr<Mixer> Gqla::make(const AttentionShape& shape, const Config& config) {
  return std::make_shared<GroupedLatentAttention>(shape, gqla_form(shape, config), config.absorb);
}

TensorMap Gqla::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  return gqla_from_moments(shape, config, gqa, white_moment).tensors;
}

GroupedLatents gqla_from_moments(const AttentionShape& shape, const Gqla::Config& config, const GqaWeights& gqa,
                                 const SecondMoment& moment) {
  return grouped_latents(shape, gqla_form(shape, config), gqa, config.freqfold.value_or(config.collapse),
                         config.collapse, moment);
}

}  // namespace attnlab
