// Tokens kept in a file, so that a data set is tokenised once for all runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace attnlab {

// Where token files are kept, and the hash of the tokenizer's file, which is a part of their names.
struct TokenCache {
  std::filesystem::path folder;
  std::string tokenizer_sha256;
  int64_t worthwhile_bytes = int64_t{8} << 20;  // data with less text are tokenised in about a second
};

// The tokens of examples one behind the other: example i has tokens starts[i] … starts[i + 1] - 1.
struct TokenSpans {
  std::span<const int32_t> tokens;
  std::span<const int64_t> starts{};
};

// A token file, mapped into memory. Layout, in the machine's byte order: header (magic, counts, key,
// checksums), int32 tokens, 4 bytes if their number is odd, int64 starts.
class TokenFile {
 public:
  // Nothing if there is no file; then `problem` stays empty. A file that is cut off, damaged (checksums of
  // header and content), or of another key is not opened, and `problem` says what is wrong.
  static std::optional<TokenFile> open(const std::filesystem::path& path, const std::string& key,
                                       std::string& problem);
  const TokenSpans& spans() const { return spans_; }

 private:
  TokenFile() = default;
  std::shared_ptr<const void> mapping_;
  TokenSpans spans_;  // into the mapping
};

// Writes a token file piece by piece under a temporary name. All members throw RunError (disk full, …).
class TokenFileWriter {
 public:
  TokenFileWriter(const std::filesystem::path& path, const std::string& key);
  ~TokenFileWriter();
  void append(std::span<const int32_t> tokens_of_an_example);
  // Puts the file in its place, whole.
  void publish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
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
