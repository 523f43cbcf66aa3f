// Weights of a decoder by Hugging Face's names: loading, converting a GQA base into a variant, initialising.
#pragma once

#include <string>

#include "attention/attention.h"
#include "checkpoint/checkpoint.h"
#include "model/decoder.h"

namespace attnlab {

// All tensors of a GQA decoder in float32 (half formats are widened, so that conversions stay exact). Throws
// InputError naming file and tensor if one is missing, surplus, or has a shape that the config does not give
// it.
TensorMap read_base_weights(const Checkpoint& checkpoint, const DecoderConfig& config);

// Random weights of a GQA decoder, a pure function of the seed: normal with deviation 0.02, and 0.02 / √(2 L)
// for the matrices that write to the residual stream (GPT-2's rule); norms 1, biases 0. float32 on the CPU.
TensorMap random_base_weights(const DecoderConfig& config, uint64_t seed);

// The base's weights in the variant's form: attention converted layer by layer, all else as it is.
TensorMap convert_weights(const TensorMap& base, const DecoderConfig& config, const VariantConfig& variant);

// Copies tensors into the decoder's parameters (any dtype and device). Every parameter must be there.
void load_weights(Decoder& decoder, const TensorMap& weights);
// The decoder's parameters on the CPU.
TensorMap copy_weights(const Decoder& decoder);

}  // namespace attnlab
