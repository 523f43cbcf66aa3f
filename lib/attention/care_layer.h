// One GQA layer cut to CARE's ranks (care.h).
#pragma once

#include "attention/care.h"
#include "attention/gqa_weights.h"
#include "attention/latent_attention.h"

namespace attnlab {

// The widths of the two latents of the layer shape.layer.
LatentWidths care_widths(const AttentionShape& shape, const Care::Config& config);

// The layer's tensors, with the second moments [G·H, G·H] of its keys and its values (before rotary).
struct CareLayer {
  TensorMap tensors;
  double k_energy_kept = 1, v_energy_kept = 1;  // shares of Σ |k|² and Σ |v|²
};
CareLayer care_layer(const AttentionShape& shape, const LatentWidths& widths, const GqaWeights& gqa,
                     const torch::Tensor& k_moment, const torch::Tensor& v_moment);

}  // namespace attnlab
