// GQA → MHA2MLA (arXiv 2502.14837): rotary position removed from all but a few frequencies of each head, then
// the joint SVD. The mathematics: attention/mha2mla.h.
#pragma once

#include "convert/transform.h"

namespace attnlab {

std::unique_ptr<Transform> make_mha2mla_transform(const ModelForm& source, const ConversionStep& step,
                                                  const TransformOptions& options);

}  // namespace attnlab
