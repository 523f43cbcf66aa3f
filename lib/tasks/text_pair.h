// A context and a continuation as ids, for the log-likelihood of the one behind the other, as lm_eval splits
// them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace attnlab {

using Encode = std::function<std::vector<int64_t>(const std::string&)>;

struct IdPair {
  std::vector<int64_t> context, continuation;
};

// White space at the end of the context moves to the continuation; the whole is encoded, and as many ids as the
// context alone has are the context's (so a merge over the seam is the continuation's). A context without ids
// is the one id `prefix`. `encode` adds no special tokens.
IdPair split_text_pair(const std::string& context, const std::string& continuation, int64_t prefix,
                       const Encode& encode);

// What the model reads and what is scored: ids[first_target …] are predicted at the positions before them.
struct ScoredIds {
  std::vector<int64_t> input;  // at most `window` ids; its last position predicts the last continuation id
  int64_t targets = 0;         // how many of the last positions predict the continuation
};

// (context + continuation)[-(window + 1):][:-1]: cut from the left. Throws InputError if the continuation alone
// is longer than the window.
ScoredIds scored_ids(const IdPair& pair, int64_t window);

// A prompt that leaves room for `max_new_tokens` in a window: its last ids. Throws InputError if no room is
// left.
std::vector<int64_t> truncate_prompt(std::vector<int64_t> ids, int64_t window, int64_t max_new_tokens);

}  // namespace attnlab
