// What streamed models say at the end: logits, compared or as perplexity.
#pragma once

#include "convert/equivalence.h"
#include "convert/transform.h"

namespace attnlab {

// Final norm and output matrix in float32, which no conversion changes. Made when the layers have gone: the
// matrix of a large vocabulary is as large as one of them.
class OutputHead {
 public:
  explicit OutputHead(const ModelSource& source);
  // Both streams have gone through all layers, over the tokens `ids`.
  Equivalence compare(const LayerStream& before, const LayerStream& after, const TokenBatches& ids) const;
  // exp of the mean next-token loss.
  double perplexity(const LayerStream& stream, const TokenBatches& ids) const;

 private:
  LogitSource source_of(const LayerStream& stream, size_t batch) const;

  DecoderConfig config_;
  torch::Tensor norm_, matrix_;
};

}  // namespace attnlab
