// Tokenizers that our own code runs.
#pragma once

#include <memory>

#include "text/engine.h"

namespace attnlab::text {

struct TokenizerParts;

// Byte-pair encoding by our own code, from the parts that tokenizer.json or a rank file describes.
std::unique_ptr<TokenizerEngine> make_bpe_engine(TokenizerParts parts);

}  // namespace attnlab::text
