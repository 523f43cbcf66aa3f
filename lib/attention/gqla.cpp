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
          .rope = gathered_width(shape, gathered_rotary(config)),
          .up_heads = shape.n_kv_heads,
          .q_bias = shape.qkv_bias,
          .kv_a_bias = shape.qkv_bias,
          .o_bias = shape.o_bias,
          .keeps = config.decode};
}

}  // namespace

std::optional<BadInput> Gqla::problem(const AttentionShape& shape, const Config& config) {
  if (auto rotary = shared_rotary_problem(shape, gathered_rotary(config))) return rotary;
  if (latent_rank(shape, config) <= whole_rank(shape)) return std::nullopt;
  return BadInput{.key = "kv_lora_rank",
                  .found = fmt::format("{}", *config.kv_lora_rank),
                  .expected = fmt::format("at most {}, all keys and values", whole_rank(shape))};
}

bool Gqla::is_exact(const AttentionShape& shape, const Config& config) {
  return keeps_rotary(shape, gathered_rotary(config)) && latent_rank(shape, config) == whole_rank(shape);
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

GqlaDecode faster_decode(const AttentionShape& shape, const GroupedLatentForm& form, bool on_gpu) {
  const int64_t of_latent = form.width + form.rope,
                of_groups = 2 * shape.n_kv_heads * shape.head_dim + form.rope;
  return on_gpu && of_latent < of_groups ? GqlaDecode::latent : GqlaDecode::groups;
}

std::shared_ptr<Mixer> Gqla::make(const AttentionShape& shape, const Config& config) {
  return std::make_shared<GroupedLatentAttention>(shape, gqla_form(shape, config), config.absorb);
}

TensorMap Gqla::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  return gqla_from_moments(shape, config, gqa, white_moment).tensors;
}

GroupedLatents gqla_from_moments(const AttentionShape& shape, const Gqla::Config& config, const GqaWeights& gqa,
                                 const SecondMoment& moment) {
  return grouped_latents(shape, gqla_form(shape, config), gqa, gathered_rotary(config), moment);
}

}  // namespace attnlab
