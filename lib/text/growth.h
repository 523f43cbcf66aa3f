// A bound on what a file's replacements may make of a text: a few steps, each doubling it, would fill any
// memory.
#pragma once

#include <cstddef>
#include <string>

#include "core/errors.h"

namespace attnlab::text {

// Normal forms lengthen text up to 11 times, replacements of a space by three bytes up to 3 times.
inline size_t most_bytes(size_t text_bytes) { return 64 * (text_bytes + 1024); }

// Throws RunError if `bytes` is above `most`.
inline void check_growth(size_t bytes, size_t most) {
  if (bytes > most)
    throw RunError("tokenizer: its replacements make a text longer than " + std::to_string(most) + " bytes");
}

}  // namespace attnlab::text
