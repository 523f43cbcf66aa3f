// Text to token ids and back, as a Hugging Face tokenizer.json describes it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace attnlab {

// Immutable; copies share one vocabulary. All members may be called from several threads at once.
//
// Supported: BPE models, byte-level (Llama 3, Qwen) or with byte fallback (Llama 2, Mistral, Gemma), with
//   normalizers     NFC NFD NFKC NFKD Prepend Replace Sequence
//   pre-tokenizers  Split ByteLevel Metaspace Digits Sequence
//   post-processors TemplateProcessing ByteLevel Sequence (single texts)
//   decoders        ByteLevel ByteFallback Fuse Replace Strip Metaspace Sequence
// Anything else in the file is refused.
class Tokenizer {
 public:
  // `path`: a tokenizer.json or a folder that holds one. Throws InputError (file, key, found, expected).
  static Tokenizer load(const std::filesystem::path& path);

  // Malformed UTF-8 is read as U+FFFD, one for each maximal part of a character. Added tokens are recognised
  // wherever the text spells them. `add_special_tokens` applies the file's template (BOS and the like).
  // Throws RunError if a pattern of the file exceeds the regex engine's limits on this text.
  std::vector<int64_t> encode(std::string_view text, bool add_special_tokens = false) const;

  // Ids that no token has (a model's padded rows) are left out. The result is valid UTF-8.
  std::string decode(std::span<const int64_t> ids, bool skip_special_tokens = true) const;

  // Largest id + 1, added tokens included.
  int64_t vocab_size() const;

  // By surface form as the file spells it ("Ġthe", "<|eos|>"), added tokens included.
  std::optional<int64_t> token_id(std::string_view token) const;

  // An upper bound of the bytes of text that one token stands for, added tokens included.
  int64_t longest_token_bytes() const;

 private:
  struct Impl;
  explicit Tokenizer(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

}  // namespace attnlab
