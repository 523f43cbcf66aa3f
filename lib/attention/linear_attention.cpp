#include "attention/linear_attention.h"

#include "attention/linear_mixer.h"
#include "attention/mixer_parts.h"

namespace attnlab {

std::optional<BadInput> LinearAttention::problem(const AttentionShape& shape, const Config&) {
  return state_base_problem(shape, true);
}

std::shared_ptr<Mixer> LinearAttention::make(const AttentionShape& shape, const Config& config) {
  return std::make_shared<LinearMixer>(shape, linear_form(config, false));
}

TensorMap LinearAttention::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  return linear_from_gqa(shape, linear_form(config, false), gqa);
}

}  // namespace attnlab
