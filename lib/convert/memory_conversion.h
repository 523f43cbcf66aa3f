// A conversion of weights that are in memory: the arms of an experiment.
#pragma once

#include "convert/conversion.h"

namespace attnlab {

struct MemoryConversion {
  DecoderForm form;
  TensorMap weights;      // of Decoder(form.config, form.variant), float32, on the CPU
  VariantConfig settled;  // the options with what was chosen on the way
  ConversionReport report;
};

// `base`: all tensors of the base's decoder. Throws as make_transform and run_conversion do.
MemoryConversion convert_in_memory(const DecoderConfig& config, const TensorMap& base, Transform& transform,
                                   const ConversionData& data, torch::Device device,
                                   const ConversionProgress& progress);

}  // namespace attnlab
