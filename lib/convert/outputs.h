// What streamed models say at the end: logits, compared or as perplexity.
#pragma once

#include "convert/equivalence.h"
#include "convert/transform.h"

namespace attnlab {

// Final norm and output matrix in float32. Made when the layers have gone: the matrix of a large vocabulary is
// as large as one of them.
class OutputHead {
 public:
  // `outer`: the tensors around the layers, as the form has them.
  OutputHead(const ModelForm& form, const TensorMap& outer, torch::Device device);
  LogitSource source_of(const LayerStream& stream, size_t batch) const;
  torch::Device device() const { return matrix_.device(); }
  // exp of the mean next-token loss over the tokens `ids`, which have gone through all layers.
  double perplexity(const LayerStream& stream, const TokenBatches& ids) const;

 private:
  DecoderConfig config_;
  double norm_eps_;
  torch::Tensor norm_, matrix_;
};

// A stream that has gone through all layers, and what reads it.
struct HeadedStream {
  const OutputHead& head;
  const LayerStream& stream;
};
// Both over the tokens `ids`.
Equivalence compare(const HeadedStream& before, const HeadedStream& after, const TokenBatches& ids);

}  // namespace attnlab
