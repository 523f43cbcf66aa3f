// tokenizer.json to the parts of a tokenizer.
#pragma once

#include <optional>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/decoder.h"
#include "text/json_node.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"

namespace attnlab::text {

// Sequences inside each other that are read; files have one or two.
constexpr int deepest_sequence = 16;
constexpr const char* too_deep = "at most 16 Sequences inside each other";

// What the post-processor puts around the ids of a text.
struct Template {
  std::vector<int64_t> before;
  std::vector<int64_t> after;
};

struct TokenizerParts {
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  Bpe model;
  std::vector<AddedToken> added_tokens;
  Template around;
  std::optional<Decoder> decoder;  // without one, tokens are joined with spaces
  std::optional<int64_t> bos_id, eos_id;
  std::vector<std::string> notes = {};  // what is not read and could matter
};

// All throw InputError naming the key of what is wrong or not supported.
TokenizerParts read_tokenizer(const JsonNode& root);
Pattern read_pattern(const JsonNode& pattern);
// The steps of a component that may be null, a single step or a Sequence.
Normalizer read_normalizer(const std::optional<JsonNode>& node);
PreTokenizer read_pre_tokenizer(const std::optional<JsonNode>& node);
std::optional<Decoder> read_decoder(const std::optional<JsonNode>& node);

}  // namespace attnlab::text
