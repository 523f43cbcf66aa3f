// What bench_serve measures: requests that are answered with continuous batching, on the engine that
// evaluations generate with (model/generate.h).
#pragma once

#include <vector>

#include "model/generate.h"

namespace attnlab {

struct ServeOptions {
  int64_t requests = 100;
  int64_t context = 1024;      // tokens of a request: a prompt of the first half, an answer of the rest
  int64_t batch = 0;           // requests at a time, at most; 0: all
  int64_t pass_tokens = 4096;  // tokens of prompts that go through the decoder at a time
  bool record = true;          // steps, on a GPU
  uint64_t seed = 0;           // of the prompts

  int64_t prompt_tokens() const { return context / 2; }
  int64_t answer_tokens() const { return context - prompt_tokens(); }
};

struct Served {
  std::vector<std::vector<int64_t>> answers;
  double seconds = 0;     // from the first prompt to the last token; caches are made in it
  GenerateReport report;  // of these seconds those in which prompts were read
};

// Random tokens: no two prompts have a beginning to share.
std::vector<std::vector<int64_t>> random_prompts(int64_t count, int64_t tokens, int64_t vocab_size,
                                                 uint64_t seed);

// Greedy tokens that follow each prompt: no token stops an answer. A request takes the place of one that has
// ended. Throws c10::OutOfMemoryError.
Served serve(Decoder& decoder, const ServeOptions& options);

// What serving holds at most, at once: the caches of a full batch, a pass of prompts into its last places,
// steps at the full width, and prompts again behind their recording. Of models whose sequences can't grow in
// rows nothing. Throws c10::OutOfMemoryError.
void try_serving(Decoder& decoder, const ServeOptions& options);

// The most requests at a time that such memory has room for beside the weights, by count of what they cache.
int64_t counted_requests(const Decoder& decoder, double bytes, int64_t context);

}  // namespace attnlab
