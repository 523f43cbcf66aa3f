#include "attention/deepseek_mla.h"

#include "attention/deepseek_attention.h"
#include "attention/gqa_weights.h"

namespace attnlab {

std::shared_ptr<Mixer> DeepseekMla::make(const AttentionShape& shape, const Config& config) {
  const DeepseekForm form{.sizes = shape.mla.value(),
                          .q_a_bias = shape.qkv_bias,
                          .kv_a_bias = shape.qkv_bias,
                          .o_bias = shape.o_bias,
                          .score = shape.score};
  return std::make_shared<DeepseekAttention>(shape, form, config.absorb);
}

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
