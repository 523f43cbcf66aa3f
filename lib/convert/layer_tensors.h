// The tensors of one layer, named without "model.layers.N.", and the mixer's part of them.
#pragma once

#include "attention/variant.h"

namespace attnlab {

// The mixer's, named as its parameters are ("q_proj.weight").
TensorMap mixer_of(const TensorMap& layer);
// The layer with another mixer.
TensorMap with_mixer(const TensorMap& layer, const TensorMap& mixer);

}  // namespace attnlab
