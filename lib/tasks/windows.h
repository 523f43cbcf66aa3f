// How a long text is cut into windows that a model can read, for its perplexity.
#pragma once

#include <cstdint>
#include <vector>

namespace attnlab {

// The model reads ids[begin, end - 1); the ids [first_target, end) are scored, each predicted at the position
// before it. begin = -1: a start id stands before the text.
struct Window {
  int64_t begin = 0, first_target = 0, end = 0;

  int64_t context() const { return first_target - begin; }
  int64_t targets() const { return end - first_target; }
  bool operator==(const Window&) const = default;
};

// lm_eval's loglikelihood_rolling: each of `n` ids is scored once. The first window reads the start id; each
// later one the last id of the one before, and the last window as many ids before it as fill it. `length`: ids
// that a model reads at once, at least 1.
std::vector<Window> rolling_windows(int64_t n, int64_t length);

// Windows side by side of `length` ids (at least 2), without a start id: the first id of each is not scored.
// The usual form of papers on compression, and TransMLA's.
enum class Tail { dropped, scored };
std::vector<Window> plain_windows(int64_t n, int64_t length, Tail tail);

}  // namespace attnlab
