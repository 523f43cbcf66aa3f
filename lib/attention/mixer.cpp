#include "attention/mixer.h"

namespace attnlab {

torch::Tensor Mixer::forward(const MixerInput& input) {
  auto y_BTD = mix(input);
  if (input.state) input.state->settle(*input.sequence);
  return y_BTD;
}

double Mixer::matrix_flops() const {
  double flops = 0;
  for (const auto& parameter : parameters())
    if (parameter.dim() == 2) flops += 2.0 * static_cast<double>(parameter.numel());
  return flops;
}

}  // namespace attnlab
