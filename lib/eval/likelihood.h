// How likely a model finds given tokens: for choices by likelihood and for perplexity.
#pragma once

#include <functional>
#include <vector>

#include "model/decoder.h"
#include "model/precision.h"

namespace attnlab {

// A sequence whose ids from `first` on (1 <= first < size) are to be predicted, each from all before it.
struct ScoredSequence {
  std::vector<int64_t> ids;
  int64_t first = 1;
};

struct Likelihood {
  double log_likelihood = 0;  // Σ over the predicted ids, nats
  bool greedy = true;         // each predicted id is the likeliest
};

struct LikelihoodOptions {
  int64_t batch_tokens = 8192;  // of the sequences that go through the decoder at a time, padding counted
  CachePlan cache;              // where it isn't all tokens as they are, predictions are made through it
  Precision precision = Precision::float32;
};

// In the order of `sequences`. Sequences of like length go together, padded on the right, where no one looks.
// With a cache that drops or rounds, the ids before `first` are the prompt, and the rest is fed token by token,
// as generation does. Log-softmax in float32, sums in double. `done` hears how many are finished, where tokens
// are fed one by one before each of them, and may throw to stop.
std::vector<Likelihood> log_likelihoods(Decoder& decoder, const std::vector<ScoredSequence>& sequences,
                                        const LikelihoodOptions& options,
                                        const std::function<void(int64_t)>& done = {});

}  // namespace attnlab
