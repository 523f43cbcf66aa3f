// GQA → CARE (arXiv 2603.17946): covariance-aware low rank with ranks per layer. The mathematics:
// attention/care.h, convert/rank_allocation.h.
#pragma once

#include "convert/transform.h"

namespace attnlab {

std::unique_ptr<Transform> make_care_transform(const ModelForm& source, const ConversionStep& step,
                                               const TransformOptions& options);

}  // namespace attnlab
