// Generated texts that show what a cache has lost: one fact in filler, many pairs of which some are asked for,
// chains of assignments. Answers end with "#### N", as word problems do.
#pragma once

#include <cstdint>
#include <string>

#include "data/data_config.h"
#include "data/split.h"

namespace attnlab {

struct Retrieval {
  std::string context, question;
  std::string gold;  // digits; of several numbers those of all, with commas between them in the answer
  std::string answer;
};

// The index-th problem of a split: a pure function of its arguments. `words`: of the context, about.
//   passkey         a number in filler, (difficulty - 1) / 4 of the way from its beginning
//   key_values      pairs of equal look; `difficulty` keys are asked for at once
//   variable_trace  chains of assignments, interleaved; the value behind `difficulty` hops is asked for
// The split is decided by context and question (split_of), so no problem lies in two splits, whatever the
// seeds.
Retrieval retrieval(DataKind kind, uint64_t seed, Split split, int64_t index, int64_t difficulty,
                    int64_t words);

}  // namespace attnlab
