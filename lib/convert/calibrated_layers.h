// One pass of calibration text through a model, layer by layer: what looks at the whole model before a
// conversion does so this way.
#pragma once

#include "convert/transform.h"

namespace attnlab {

struct CalibratedPass {
  std::string what;   // for progress: "choosing freqfold"
  TokenBatches text;  // empty: layers are visited without
  Precision precision = Precision::float32;
};

// A layer's tensors, and what it sees of the text; null without text.
using SeeLayer = std::function<void(int64_t layer, const TensorMap& tensors, const CalibrationInputs* inputs)>;

void visit_layers(const ModelSource& source, const CalibratedPass& pass, const ConversionProgress& progress,
                  const SeeLayer& see);

}  // namespace attnlab
