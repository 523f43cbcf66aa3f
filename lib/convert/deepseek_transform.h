// GQA → DeepSeek's form (TransMLA, arXiv 2502.07864v5): rotate, remove rotary, compress, and where DeepSeek-V3
// can say it, export. The mathematics: attention/deepseek_stages.h, convert/deepseek_export.h.
#pragma once

#include "convert/transform.h"

namespace attnlab {

std::unique_ptr<Transform> make_deepseek_transform(const ModelForm& source, const ConversionStep& step,
                                                   const TransformOptions& options);

}  // namespace attnlab
