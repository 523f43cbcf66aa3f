// Batches in which rows differ in length, wait, leave and enter, and prompts go in pieces.
#pragma once

#include "model/generate.h"

namespace attnlab::test {

inline std::vector<std::vector<int64_t>> ragged_prompts(int64_t count) {
  std::vector<std::vector<int64_t>> prompts;
  for (int64_t i = 0; i < count; ++i) {
    std::vector<int64_t> prompt;
    for (int64_t t = 0; t <= 7 * i % 9; ++t) prompt.push_back((3 * i + 5 * t) % 37);
    prompts.push_back(prompt);
  }
  return prompts;
}

// Each prompt in a batch of its own.
inline std::vector<std::vector<int64_t>> alone(Decoder& decoder,
                                               const std::vector<std::vector<int64_t>>& prompts,
                                               const GenerateOptions& options) {
  std::vector<std::vector<int64_t>> out;
  for (const auto& prompt : prompts) out.push_back(generate(decoder, {prompt}, options)[0]);
  return out;
}

// Batches in which prompts wait, finished rows leave, and prompts go through in pieces.
inline std::vector<GenerateOptions> ways_to_generate(const CachePlan& plan) {
  std::vector<GenerateOptions> ways;
  for (const size_t rows : {0, 3})
    for (const int64_t chunk : {2, 512})
      for (const bool in_rows : {false, true})
        ways.push_back({.max_new_tokens = 9,
                        .prefill_chunk = chunk,
                        .cache = plan,
                        .batch_rows = rows,
                        .in_rows = in_rows});
  return ways;
}

}  // namespace attnlab::test
