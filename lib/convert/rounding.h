// How far rounding alone may move a model's logits: what a stage that should change nothing is held to.
#pragma once

#include "convert/outputs.h"
#include "convert/transform.h"

namespace attnlab {

// What rounding to `precision` may move logits by where nothing else changes: each layer adds sums of up to n =
// max(D, d_ff) products to the residual stream, which err by √n · eps of their size if errors have random
// signs, and the errors of L layers and the output add up. Times 4 for the sums inside attention and the two
// models compared.
double rounding_tolerance(const DecoderConfig& config, double largest_logit,
                          Precision precision = Precision::float32);

// The same by experiment, for models whose scores are so large that softmax makes more of an error than the
// estimate above knows: the largest |Δlogit| on held-out text where what each layer adds to the residual stream
// errs by √n · eps of its root mean square per token, in a fixed sequence of random numbers; times 4 as above.
// `base`: the source's own stream over that text, behind all layers. Reads every layer once.
double measured_rounding(const ModelSource& source, const ConversionData& data, const LayerStream& base,
                         const ConversionProgress& progress);

}  // namespace attnlab
