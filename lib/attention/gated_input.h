// The gate of a recurrence's outputs in front of the last projection.
#pragma once

#include "attention/attention.h"
#include "attention/input_type.h"
#include "attention/recurrence.h"
#include "kernels/output_gate.h"

namespace attnlab {

// y ⊙ silu(z), computed in full precision, as the projection takes it; `like`: the layer's input. One kernel
// where the products' format is z's.
inline torch::Tensor gated_input(const Linear& projection, const torch::Tensor& y_BTW,
                                 const torch::Tensor& z_BTW, const torch::Tensor& like) {
  const auto type = product_type(projection->is_packed() ? like : projection->weight);
  if (z_BTW.scalar_type() == type && fits_output_gate(y_BTW, z_BTW)) return output_gate(y_BTW, z_BTW);
  const FullPrecision full;
  return (y_BTW * torch::silu(in_full(z_BTW))).to(input_type(projection, like));
}

}  // namespace attnlab
