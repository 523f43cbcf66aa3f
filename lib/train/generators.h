// torch's random number generators as tensors. Nothing in a step draws from them today; a state keeps them, so
// that whatever will draw goes on where it stood.
#pragma once

#include "checkpoint/safetensors.h"

namespace attnlab {

// The states of the CPU's generator and, for a GPU, of that device's: "generator/cpu", "generator/cuda".
TensorList generator_states(torch::Device device);
// Puts them back. A state of a device that this run does not use is passed over.
void restore_generators(const SafetensorsFile& state, torch::Device device);

}  // namespace attnlab
