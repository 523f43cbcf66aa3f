// The format in which a projection takes what was computed in full precision.
#pragma once

#include "attention/linear.h"

namespace attnlab {

// W's own; a packed W takes any: that of `like`, the mixer's input.
inline torch::ScalarType input_type(const Linear& projection, const torch::Tensor& like) {
  return projection->is_packed() ? like.scalar_type() : projection->weight.scalar_type();
}

}  // namespace attnlab
