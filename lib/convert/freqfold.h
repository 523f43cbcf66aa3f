// freqfold: auto. FreqFold's m is doubled, from collapse on, while the perplexity on held-out text of the model
// with rotary removed (stage remove_rope) improves.
#pragma once

#include "attention/mla_deepseek.h"
#include "convert/transform.h"

namespace attnlab {

// What is converted, and how.
struct FoldedLayers {
  DecoderConfig plain;  // without norms of query and key heads
  MlaDeepseek::Config config;
  std::vector<int64_t> layers;
};

// One pass through the layers: the keys' second moments serve every m, and held-out text goes through a model
// of each.
int64_t choose_freqfold(const ModelSource& source, const FoldedLayers& folded, const ConversionData& data,
                        const ConversionProgress& progress);

}  // namespace attnlab
