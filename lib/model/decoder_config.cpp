#include "model/decoder_config.h"

#include <cmath>

namespace attnlab {

namespace {
void set_scaling(const std::optional<RopeScaling>& scaling, AttentionShape& shape) {
  shape.scaled_by_frequency = scaling && scaling->type == RopeType::longrope;
  shape.scaled_by_width = scaling && scaling->by_width();
  shape.rotary_factor = scaling ? scaling->table_factor() : 1;
}
}  // namespace

AttentionShape DecoderConfig::attention_shape(int64_t layer) const {
  ScoreForm score{.scale = query_scalar > 0 ? 1 / std::sqrt(query_scalar) : 0, .softcap = attention_softcap};
  if (mla && rope_scaling && rope_scaling->mla_score_factor() != 1)
    score.scale = rope_scaling->mla_score_factor() /
                  std::sqrt(static_cast<double>(mla->qk_nope_head_dim + mla->qk_rope_head_dim));
  AttentionShape shape{.d_model = d_model,
                       .n_heads = n_heads,
                       .n_kv_heads = n_kv_heads,
                       .head_dim = head_dim,
                       .qkv_bias = qkv_bias,
                       .o_bias = o_bias,
                       .score = score,
                       .window = has_window(layer) ? window : 0,
                       .qk_norm = traits_of(family).qk_norm,
                       .norm_eps = norm_eps,
                       .norm_plus_one = traits_of(family).norm_plus_one,
                       .mla = mla,
                       .recurrent = recurrent,
                       .rotary_dim = rotary_dim,
                       .layer = layer,
                       .n_layers = n_layers};
  set_scaling(rope_scaling_of(layer), shape);
  return shape;
}

AttentionShape DecoderConfig::attention_shape() const {
  AttentionShape shape = attention_shape(0);
  set_scaling(rope_scaling, shape);
  return shape;
}

int64_t DecoderConfig::layers_with_experts() const {
  int64_t count = 0;
  for (int64_t i = 0; i < n_layers; ++i) count += has_experts(i) ? 1 : 0;
  return count;
}

int64_t DecoderConfig::longest_sequence() const {
  if (!rope_scaling || !rope_scaling->by_width()) return max_positions;
  const double reach = rope_scaling->factor * static_cast<double>(rope_scaling->original_positions);
  return std::max(max_positions, static_cast<int64_t>(std::min(reach, 0x1p40)));
}

}  // namespace attnlab
