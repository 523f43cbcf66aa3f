// Tokenizers that the sentencepiece library runs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "text/companions.h"
#include "text/engine.h"

namespace attnlab::text {

// The sentencepiece library on the bytes of a tokenizer.model. `file` is for messages. With companions, control
// pieces and added tokens are cut out of the text as transformers does, and the library sees what lies between
// them. Throws InputError if the bytes are no model, one whose pieces are not unique, or one that the
// companions contradict.
std::unique_ptr<TokenizerEngine> make_sentencepiece_engine(std::string_view bytes, const std::string& file,
                                                           std::optional<Companions> companions);

}  // namespace attnlab::text
