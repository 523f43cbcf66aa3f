// The token ids that end a text, as a checkpoint's files name them.
#pragma once

#include <cstdint>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace attnlab {

// `eos_token_id` of config.json, then that of generation_config.json: a number or a list, each id once. The
// first is what ends a document. Throws InputError (file, key) for anything else and for negative ids.
std::vector<int64_t> end_ids(const Checkpoint& checkpoint);

}  // namespace attnlab
