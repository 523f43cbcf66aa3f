// Norms of query and key heads (Qwen3) as constant factors: an approximation, for forms with which they don't
// commute.
#pragma once

#include "attention/attention.h"
#include "convert/layer_stream.h"

namespace attnlab {

// The config without such norms: Qwen3 without them is LLaMA. Any other config is returned as it is.
DecoderConfig without_qk_norm(const DecoderConfig& config);

// x / RMS(x) · w for a head x becomes x · mean(1 / RMS(x)) · w, the mean over calibration tokens and per head,
// multiplied into the projections. The tensors of gqa without norms.
TensorMap fold_qk_norm(const AttentionShape& shape, const GqaWeights& gqa, const CalibrationInputs& inputs);

}  // namespace attnlab
