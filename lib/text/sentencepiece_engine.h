// Tokenizers that the sentencepiece library runs.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "text/engine.h"

namespace attnlab::text {

// The sentencepiece library on the bytes of a tokenizer.model. `file` is for messages. Throws InputError if
// they are none, or a model whose pieces are not unique.
std::unique_ptr<TokenizerEngine> make_sentencepiece_engine(std::string_view bytes, const std::string& file);

}  // namespace attnlab::text
