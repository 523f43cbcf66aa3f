// The transforms into forms whose principal directions are those of calibration text: gta, gla, gqla, tpa.
#pragma once

#include "convert/transform.h"

namespace attnlab {

// gla and gqla in two stages where their latents are cut: rotary gathered in numbers that all heads share, then
// the latents' leading directions; the others in one. What loses nothing asks for no text.
std::unique_ptr<Transform> make_moments_transform(const ModelForm& source, const ConversionStep& step,
                                                  const TransformOptions& options);

}  // namespace attnlab
