#include "model/decoder_config.h"

#include <cmath>

namespace attnlab {

AttentionShape DecoderConfig::attention_shape(int64_t layer) const {
  return {.d_model = d_model,
          .n_heads = n_heads,
          .n_kv_heads = n_kv_heads,
          .head_dim = head_dim,
          .qkv_bias = qkv_bias,
          .o_bias = o_bias,
          .score = {.scale = query_scalar > 0 ? 1 / std::sqrt(query_scalar) : 0, .softcap = attention_softcap},
          .window = has_window(layer) ? window : 0,
          .qk_norm = traits_of(family).qk_norm,
          .norm_eps = norm_eps,
          .mla = mla,
          .rotary_dim = rotary_dim,
          .scaled_by_frequency = rope_scaling && rope_scaling->type == RopeType::longrope,
          .layer = layer,
          .n_layers = n_layers};
}

}  // namespace attnlab
