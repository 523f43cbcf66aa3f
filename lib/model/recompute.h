// Activation checkpointing by layer (arXiv 1604.06174).
#pragma once

#include "model/decoder.h"

namespace attnlab {

// The layer's forward pass, of which backward keeps x [B, T, D] alone: it runs the pass again, in the precision
// that holds now, and goes back through that. Loss and gradients have the same bits as without. Nothing in a
// layer may draw random numbers or depend on what changes in between; no state.
torch::Tensor forward_recomputed(const std::shared_ptr<DecoderLayer>& layer, const torch::Tensor& x_BTD,
                                 const MixerInput& input);

}  // namespace attnlab
