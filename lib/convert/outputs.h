// What streamed models say at the end: logits, compared or as perplexity.
#pragma once

#include <vector>

#include "convert/equivalence.h"
#include "convert/transform.h"

namespace attnlab {

// Final norm and output matrix on each device, products in `precision`. Made when the layers have gone: the
// matrix of a large vocabulary is as large as one of them.
class OutputHead {
 public:
  // `outer`: the tensors around the layers, as the form has them.
  OutputHead(const ModelForm& form, const TensorMap& outer, const Devices& devices,
             Precision precision = Precision::float32);
  LogitSource source_of(const LayerStream& stream, size_t batch) const;

 private:
  struct Outputs {
    torch::Tensor norm, matrix;
  };
  DecoderConfig config_;
  double norm_eps_;
  std::vector<Outputs> there_;  // by device
};

// A stream that has gone through all layers, and what reads it.
struct HeadedStream {
  const OutputHead& head;
  const LayerStream& stream;
};
// How far a model is from the first one, and from the one before it.
struct ModelStep {
  Equivalence from_first;
  double max_difference = 0;  // largest |logit - logit of the model before|
};
// Of models [1 …], all over the tokens `ids` on the same devices, each one's logits made once: sums of each
// batch, added in the order of batches.
std::vector<ModelStep> compare(const std::vector<HeadedStream>& models, const TokenBatches& ids);

}  // namespace attnlab
