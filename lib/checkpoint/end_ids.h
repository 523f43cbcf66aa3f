// The token ids that begin and end a text, as a checkpoint's files name them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace attnlab {

// `eos_token_id` of config.json, then that of generation_config.json: a number or a list, each id once. The
// first is what ends a document. Throws InputError (file, key) for anything else and for what
// is no id from 0 to 2³¹ − 1.
std::vector<int64_t> end_ids(const Checkpoint& checkpoint);

// `bos_token_id` of config.json; nullopt: absent or null. Throws InputError for anything but an id.
std::optional<int64_t> begin_id(const Checkpoint& checkpoint);

}  // namespace attnlab
