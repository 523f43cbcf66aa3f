// What streamed models say at the end: logits, compared or as perplexity.
#pragma once

#include "convert/equivalence.h"
#include "convert/transform.h"

namespace attnlab {

// Final norm and output matrix in float32, on each device. Made when the layers have gone: the matrix of a
// large vocabulary is as large as one of them.
class OutputHead {
 public:
  // `outer`: the tensors around the layers, as the form has them.
  OutputHead(const ModelForm& form, const TensorMap& outer, const Devices& devices);
  LogitSource source_of(const LayerStream& stream, size_t batch) const;
  // exp of the mean next-token loss over the tokens `ids`, which have gone through all layers.
  double perplexity(const LayerStream& stream, const TokenBatches& ids) const;

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
// Both over the tokens `ids`, on the same devices: sums of each batch, added in the order of batches.
Equivalence compare(const HeadedStream& before, const HeadedStream& after, const TokenBatches& ids);

}  // namespace attnlab
