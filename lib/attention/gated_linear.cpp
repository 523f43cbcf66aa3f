#include "attention/gated_linear.h"

#include "attention/linear_mixer.h"
#include "attention/mixer_parts.h"

namespace attnlab {

std::optional<BadInput> GatedLinear::problem(const AttentionShape& shape, const Config&) {
  return state_base_problem(shape, true);
}

std::shared_ptr<Mixer> GatedLinear::make(const AttentionShape& shape, const Config& config) {
  return std::make_shared<LinearMixer>(shape, linear_form(config, true));
}

TensorMap GatedLinear::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  return linear_from_gqa(shape, linear_form(config, true), gqa);
}

}  // namespace attnlab
