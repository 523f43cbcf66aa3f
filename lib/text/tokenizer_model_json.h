// The parts of tokenizer.json that name tokens: vocabulary, merges, added tokens, what stands around a text.
#pragma once

#include <optional>
#include <vector>

#include "text/tokenizer_json.h"

namespace attnlab::text {

// All throw InputError naming the key of what is wrong or not supported.
Bpe read_model(const JsonNode& model);
Template read_post_processor(const std::optional<JsonNode>& node, int depth = 0);
// What stands in such an object beside its id.
AddedToken read_added_token(const JsonNode& node);
// Checked against the vocabulary: ids agree and are unique.
std::vector<AddedToken> read_added_tokens(const std::optional<JsonNode>& node, const Bpe& model);

}  // namespace attnlab::text
