// A sequence while it grows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/random.h"
#include "model/generate.h"

namespace attnlab {

// Which prompt a row continues, its random numbers, its newest token, and whether it has ended.
class GeneratedRow {
 public:
  GeneratedRow(const GenerateOptions& options, size_t prompt)
      : prompt_(prompt), random_(options.seed, options.streams.empty() ? prompt : options.streams.at(prompt)) {}

  size_t prompt() const { return prompt_; }
  bool ended() const { return ended_; }
  int64_t produced() const { return produced_; }
  int64_t token() const { return token_; }
  // In [0, 1), a new one for each token.
  double uniform() { return random_.uniform(); }

  // The next token: into the prompt's output, unless it stops the row.
  void take(int64_t token, const GenerateOptions& options, std::vector<std::vector<int64_t>>& outputs) {
    const auto& stops = options.stop_tokens;
    token_ = token;
    ended_ = std::find(stops.begin(), stops.end(), token) != stops.end();
    if (!ended_) {
      outputs[prompt_].push_back(token);
      if (options.on_token) ended_ = options.on_token(prompt_, token);
      ended_ |= ++produced_ == options.max_new_tokens;
    }
    if (ended_ && options.on_end) options.on_end(prompt_);
  }

 private:
  size_t prompt_;
  Random random_;
  int64_t produced_ = 0, token_ = 0;
  bool ended_ = false;
};

}  // namespace attnlab
