#include "attention/gated_linear.h"

#include "attention/linear_mixer.h"
#include "attention/mixer_parts.h"

namespace attnlab {
namespace {

LinearForm gated_linear_form(const GatedLinear::Config& config) {
  return {.map = config.feature_map,
          .by_query_head = config.by_query_head,
          .rotary = config.rotary,
          .decay = true,
          .eps = config.eps};
}

}  // namespace

std::optional<BadInput> GatedLinear::problem(const AttentionShape& shape, const Config&) {
  return state_base_problem(shape, true);
}

std::shared_ptr<Mixer> GatedLinear::make(const AttentionShape& shape, const Config& config) {
  return std::make_shared<LinearMixer>(shape, gated_linear_form(config));
}

TensorMap GatedLinear::from_gqa(const AttentionShape& shape, const Config& config, const GqaWeights& gqa) {
  return linear_from_gqa(shape, gated_linear_form(config), gqa);
}

}  // namespace attnlab
