#include "attention/deepseek_mla.h"

namespace attnlab {

DeepseekMla::DeepseekMla(const AttentionShape& shape, const Config& config)
    : DeepseekAttention(shape,
                        {.sizes = shape.mla.value(),
                         .q_a_bias = shape.qkv_bias,
                         .kv_a_bias = shape.qkv_bias,
                         .o_bias = shape.o_bias,
                         .score = shape.score},
                        config.absorb) {}

std::optional<BadInput> DeepseekMla::problem(const AttentionShape& shape, const Config&) {
  if (shape.mla) return std::nullopt;
  return BadInput{.key = "variant",
                  .found = std::string(kName),
                  .expected =
                      "a variant that is made from GQA (mla_deepseek is this form): the base's attention "
                      "is not MLA"};
}

TensorMap DeepseekMla::from_gqa(const AttentionShape&, const Config&, const GqaWeights&) {
  ATTNLAB_CHECK(!"deepseek_mla is not made from GQA here");
}

}  // namespace attnlab
