// From a path to what does the work.
#pragma once

#include <filesystem>
#include <memory>

#include "text/engine.h"

namespace attnlab::text {

// See Tokenizer::file_of.
std::filesystem::path find_tokenizer_file(const std::filesystem::path& path);

// See Tokenizer::load.
std::unique_ptr<TokenizerEngine> open_tokenizer(const std::filesystem::path& path);

// A tokenizer.json given as bytes, without the tokenizer_config.json that may lie beside it. `file` is for
// messages. Throws InputError.
std::unique_ptr<TokenizerEngine> parse_tokenizer_json(std::string_view bytes, const std::string& file);

}  // namespace attnlab::text
