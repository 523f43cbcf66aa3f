// Ids of byte_tokenizer, for expected batches.
#pragma once

#include "byte_tokenizer.h"
#include "data/batch.h"

namespace attnlab::test {

constexpr int64_t id(char c) { return c - 32; }
constexpr int64_t no = ignored_target;
constexpr int64_t bos = bos_id, eos = eos_id;

}  // namespace attnlab::test
