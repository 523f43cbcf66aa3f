// Norms of query and key heads (Qwen3) as constant factors: an approximation, for forms with which they don't
// commute.
#pragma once

#include "attention/gqa_weights.h"
#include "convert/layer_stream.h"
#include "convert/transform.h"

namespace attnlab {

// Whether what is left without such norms is a family that there is: Qwen 3 without them is LLaMA, Gemma 3 is
// none.
bool can_fold_qk_norm(const DecoderConfig& config);

// The config without such norms, where they can be folded. Any other config is returned as it is.
DecoderConfig without_qk_norm(const DecoderConfig& config);

// What a step says that takes rotary position from a part of the keys: norms must be folded into all layers, or
// be absent. Throws InputError where the source or the options don't fit.
void require_convertible(const ModelForm& source, const ConversionStep& step, const TransformOptions& options);

// x / RMS(x) · w for a head x becomes x · mean(1 / RMS(x)) · w, the mean over calibration tokens and per head,
// multiplied into the projections. The tensors of gqa without norms.
TensorMap fold_qk_norm(const AttentionShape& shape, const GqaWeights& gqa, const CalibrationInputs& inputs);

}  // namespace attnlab
