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

// The same by experiment, for models that make more of an error than the estimate above knows: scores so large
// that softmax is all but a choice, or tokens that a compression left close to becoming attention sinks. Text
// goes through a model twice: as it is, and where each weight errs by eps of its size and what each layer adds
// to the residual stream by √n · eps of its root mean square per token, in a fixed sequence of random numbers.
// Errors of weights go the ways that errors of products go, into scores above all; those of the stream go all
// ways alike. It says something of this model alone: a compressed one may make far more of rounding than the
// base that it was made from.
class RoundingProbe {
 public:
  // `embedded`: the text before the first layer, in the model's form.
  RoundingProbe(const LayerStream& embedded, Precision precision);
  void advance(int64_t layer, const TensorMap& tensors);
  // Behind all layers: the largest |Δlogit| of the two; times 4 as above.
  double result(const OutputHead& head, const TokenBatches& ids) const;

 private:
  LayerStream plain_, nudged_;
  Precision precision_;
  at::Generator random_;
};

}  // namespace attnlab
