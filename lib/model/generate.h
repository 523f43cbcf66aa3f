// Generation with a cache.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "model/decoder.h"
#include "model/sampling.h"

namespace attnlab {

// How a generation went.
struct GenerateReport {
  bool in_rows = false;       // row_batch.h; otherwise decoding_batch.h
  std::string why_not = {};   // in rows, or not recorded
  int64_t shared_tokens = 0;  // that all prompts begin with, computed once
  int64_t steps = 0, recorded_steps = 0;
  double prefill_seconds = 0;  // in which prompts were read
};

struct GenerateOptions {
  int64_t max_new_tokens = 256;
  std::vector<int64_t> stop_tokens;  // end a sequence; not part of the result
  SamplingOptions sampling;          // greedy unless it has a temperature
  uint64_t seed = 0;                 // prompt i draws from the sequence (seed, streams[i])
  std::vector<uint64_t> streams;     // empty: 0, 1, …
  int64_t prefill_chunk = 512;       // tokens of a prompt that go through the decoder at a time
  int64_t pass_tokens = 16384;       // those of all prompts together, where sequences grow in rows
  CachePlan cache;                   // how states are kept
  // Of each prompt, the first tokens, which are its context: what happens behind a prompt happens behind them,
  // and the rest follows. Then prompts go one by one. Empty: prompts are one.
  std::vector<size_t> context_tokens;
  size_t batch_rows = 0;  // sequences at a time, at most; 0: all
  // Whether sequences grow in rows of fixed places, where they can; unset: yes.
  std::optional<bool> in_rows;
  // Of sequences in rows: a common beginning is computed once; steps are recorded on a GPU; steps before the
  // host looks and columns by which the width grows (0: what suits the device).
  bool share_beginning = true, record_steps = true;
  int64_t steps_at_a_time = 0, width_step = 0;
  GenerateReport* report = nullptr;  // filled at the end, if given
  // One prompt at a time, each token of it by itself: each product is that of one row with the weights, so that
  // an output is the same bits whatever other prompts there are, and batch_rows and prefill_chunk have no
  // effect.
  bool batch_invariant = false;
  // Hears of each token of each prompt (index, token), stop tokens excluded; true ends that sequence.
  std::function<bool(size_t prompt, int64_t token)> on_token;
  // Hears once of each prompt whose sequence has ended. May throw to stop.
  std::function<void(size_t prompt)> on_end;
};

// For each prompt (at least one token each) the tokens that follow it. Prompts form a batch, padded on the
// left; each gets the tokens that it would get alone, up to rounding. Sequences that have ended leave the
// batch, and the next prompts take their places, in order.
std::vector<std::vector<int64_t>> generate(Decoder& decoder, const std::vector<std::vector<int64_t>>& prompts,
                                           const GenerateOptions& options);

}  // namespace attnlab
