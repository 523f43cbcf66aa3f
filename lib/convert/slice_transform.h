// SliceGPT (arXiv 2401.15024): the residual stream in its principal directions, of which the first ones stay.
#pragma once

#include <functional>
#include <memory>

#include "convert/transform.h"

namespace attnlab {

// Hears of the eigenvalues behind each basis, in order of use.
using HearEigenvalues = std::function<void(const torch::Tensor& eigenvalues_D)>;

// One stage, of all layers at once: norms are fused into the matrices behind them (their weights become
// √(D / d), see ModelForm::stream_eps), each place in front of a norm gets a basis of its own from the signals
// that the layers before give sliced, and shortcut matrices take the stream from one basis to the next. The
// output matrix is untied. With nothing cut it is exact, but for `subtract_mean`. Heads, and with them the
// cache, stay.
//
// Throws InputError for a width that can't be, some of the layers, a stream that is cut already, norms behind
// blocks, mixtures of experts.
std::unique_ptr<Transform> make_slice_transform(const ModelForm& source, const ConversionStep& step,
                                                const SliceOptions& options, HearEigenvalues hear = {});

}  // namespace attnlab
