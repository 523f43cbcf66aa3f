// Rank files as tiktoken reads them: a base64 token and its rank a line. Of two neighbouring parts of a word,
// those whose concatenation has the lowest rank are merged first, the leftmost of equals.
#pragma once

#include <string>
#include <string_view>

#include "text/tokenizer_json.h"

namespace attnlab::text {

// True if the first line has the form of a rank file's ("IQ== 0").
bool looks_like_rank_file(std::string_view bytes);

// The pattern that cuts words and the special tokens are not in such a file: they are those of the encoding
// that has this many ranks (llama3: 128000, qwen: 151643). No normal form is applied: a tokenizer.json of
// Qwen's asks for NFC, its rank file cannot. Throws InputError (file, line) for bad base64, a rank or token
// that comes twice, a hole in the ranks, a byte without a token, and a number of ranks that no encoding has.
TokenizerParts read_rank_file(std::string_view bytes, const std::string& file);

}  // namespace attnlab::text
