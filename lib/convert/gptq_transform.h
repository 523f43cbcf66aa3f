// Matrices as integers in the hub's packed layout: GPTQ, and round to nearest.
#pragma once

#include <memory>

#include "convert/transform.h"

namespace attnlab {

// One stage, for the layers of the step. Each matrix sees the inputs that the layers before give quantised,
// and, with true_sequential, the matrices before it in its own layer. Those without a place in the layout
// (packing_problem) stay whole. What is told of each matrix: its relative error over its inputs,
// √(tr(D H Dᵀ) / tr(W H Wᵀ)) with D = W - Ŵ, and that as a share of round to nearest's.
//
// Throws InputError for bits that the layout lacks, and groups that don't divide a matrix's inputs.
std::unique_ptr<Transform> make_gptq_transform(const ModelForm& source, const ConversionStep& step,
                                               const GptqOptions& options);
// Needs no text.
std::unique_ptr<Transform> make_rtn_transform(const ModelForm& source, const ConversionStep& step,
                                              const RtnOptions& options);

}  // namespace attnlab
