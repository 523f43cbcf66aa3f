// Greedy generation with a cache.
#pragma once

#include <cstdint>
#include <vector>

#include "model/decoder.h"

namespace attnlab {

struct GenerateOptions {
  int64_t max_new_tokens = 256;
  std::vector<int64_t> stop_tokens;  // end a sequence; not part of the result
};

// For each prompt (at least one token each) the tokens that follow it. Prompts of one call form one batch,
// padded on the left; each gets the tokens that it would get alone, up to rounding. Sequences that have ended
// leave the batch.
std::vector<std::vector<int64_t>> generate_greedy(Decoder& decoder,
                                                  const std::vector<std::vector<int64_t>>& prompts,
                                                  const GenerateOptions& options);

}  // namespace attnlab
