// Forms that follow from the weights alone, in one stage: TransMLA v1 and v2.
#pragma once

#include "convert/transform.h"

namespace attnlab {

// For every variant whose from_gqa needs no calibration.
std::unique_ptr<Transform> make_weights_transform(const ModelForm& source, const ConversionStep& step,
                                                  const TransformOptions& options);

}  // namespace attnlab
