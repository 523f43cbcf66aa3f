#include "attention/mixer.h"

#include "attention/linear.h"

namespace attnlab {

torch::Tensor Mixer::forward(const MixerInput& input) {
  if (input.state) input.state->begin(*input.sequence);
  auto y_BTD = mix(input);
  if (input.state) input.state->settle(*input.sequence);
  return y_BTD;
}

double Mixer::matrix_flops() const {
  double flops = 0;
  for (const auto& parameter : named_parameters())
    if (parameter.value().dim() == 2 && !is_packed_part(parameter.key()))
      flops += 2.0 * static_cast<double>(parameter.value().numel());
  for (const auto& module : modules())
    if (const auto linear = std::dynamic_pointer_cast<LinearImpl>(module); linear && linear->is_packed())
      flops += 2.0 * static_cast<double>(linear->in() * linear->out());
  return flops;
}

}  // namespace attnlab
