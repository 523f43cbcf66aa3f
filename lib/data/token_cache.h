// Tokens kept in a file, so that a data set is tokenised once for all runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/token_file.h"

namespace attnlab {

// Where token files are kept, and the hash of the tokenizer's file, which is a part of their names.
struct TokenCache {
  std::filesystem::path folder;
  std::string tokenizer_sha256;
  int64_t worthwhile_bytes = int64_t{8} << 20;  // data with less text are tokenised in about a second
};

// Hexadecimal SHA-256 over what the tokens are a function of: the first `count` examples' text, the tokenizer,
// bos and eos, and the version of tokenising. `text_bytes` gets the examples' bytes.
std::string token_key(const Dataset& dataset, int64_t count, const std::string& tokenizer_sha256,
                      std::optional<int64_t> bos_id, std::optional<int64_t> eos_id, int64_t& text_bytes);

// Opens the file of `key`; if there is no good one, `make` is to write it. Processes that want the same file
// wait for the one that makes it. Nothing if the folder can't be written: `notes` says so, and of files made
// anew, why. Throws Interrupted while waiting.
std::optional<TokenFile> open_or_make(const TokenCache& cache, const std::string& key,
                                      const std::function<void(TokenFileWriter&)>& make,
                                      std::vector<std::string>& notes);

}  // namespace attnlab
