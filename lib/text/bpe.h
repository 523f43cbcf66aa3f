// Byte-pair encoding: from a word to token ids by ranked merges.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/pair_table.h"

namespace attnlab::text {

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
using Vocabulary = std::unordered_map<std::string, int32_t, StringHash, std::equal_to<>>;

struct BpeOptions {
  std::optional<int32_t> unk_id;  // for characters without a token; without it they are dropped
  bool fuse_unk = false;          // a run of unknown characters is one token
  bool byte_fallback = false;     // a character without a token becomes its bytes' tokens "<0xE2>" ...
  bool ignore_merges = false;     // a word that is a token is taken as it is
};

class Bpe {
 public:
  Bpe(Vocabulary vocabulary, BpeOptions options);
  ~Bpe();
  Bpe(Bpe&&) noexcept;
  Bpe& operator=(Bpe&&) noexcept;

  // All are ids of the vocabulary; a pair that comes again takes the later merge.
  void add_merge(int32_t left, int32_t right, Merge merge);

  // Appends the ids of `word` (valid UTF-8). Time O(n log n); short words are remembered. Thread-safe.
  void encode(std::string_view word, std::vector<int64_t>& ids) const;

  std::optional<int32_t> id(std::string_view token) const;
  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  class WordCache;
  class Word;

  void encode_segment(std::string_view segment, std::vector<int64_t>& ids) const;
  std::vector<int32_t> characters(std::string_view word) const;
  std::optional<int32_t> character_id(std::string_view character) const;
  bool append_bytes(std::string_view character, std::vector<int32_t>& symbols) const;

  Vocabulary vocabulary_;
  BpeOptions options_;
  PairTable merges_;
  std::array<int32_t, 0x800>
      short_characters_;           // ids of characters of one or two bytes by code point; -1: none
  bool cuts_at_mark_ = false;      // no token spans a mark "▁" and another character before it
  std::vector<int32_t> byte_ids_;  // of "<0x00>" ... "<0xFF>"; -1: not in the vocabulary
  std::unique_ptr<WordCache> cache_;
};

}  // namespace attnlab::text
