// Files of tokens.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace attnlab {

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

}  // namespace attnlab
