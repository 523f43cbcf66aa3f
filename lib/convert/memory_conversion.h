// A conversion of weights that are in memory: the arms of an experiment.
#pragma once

#include "convert/conversion.h"

namespace attnlab {

struct MemoryConversion {
  ModelForm form;
  TensorMap weights;                    // of Decoder(form), float32, on the CPU
  std::vector<ConversionStep> settled;  // the steps with what was chosen on the way
  ConversionReport report;
};

// `base`: all tensors of the base's decoder. Throws as make_transform and run_conversion do.
MemoryConversion convert_in_memory(const DecoderConfig& config, const TensorMap& base, Transform& transform,
                                   const ConversionData& data, const Devices& devices,
                                   const ConversionProgress& progress);

}  // namespace attnlab
