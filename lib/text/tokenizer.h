// Text to token ids and back, as a tokenizer.json, a tokenizer.model or a rank file describes it.
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
namespace text {
class TokenizerEngine;
}

// Immutable; copies share one vocabulary. All members may be called from several threads at once.
//
// tokenizer.json: BPE models, byte-level (Llama 3, Qwen) or with byte fallback (Llama 2, Mistral, Gemma), with
//   normalizers     NFC NFD NFKC NFKD Prepend Replace Lowercase Strip Sequence
//   pre-tokenizers  Split ByteLevel Metaspace Digits Punctuation Whitespace WhitespaceSplit Sequence
//   post-processors TemplateProcessing ByteLevel Sequence (single texts)
//   decoders        ByteLevel ByteFallback Fuse Replace Strip Metaspace Sequence
// Anything else in the file is refused.
// tokenizer.model: what the sentencepiece library reads. Text that spells a control piece ("<s>") is text,
// unless
//   companions lie beside it.
// Companions (companions.h) add tokens, name those that begin and end a text, and say for a tokenizer.model
// whether
//   a space is put before the text between added tokens (legacy) and which tokens stand around a text.
// Rank files (tiktoken's): the encodings llama3 and qwen, told apart by their number of ranks.
class Tokenizer {
 public:
  // `path`: a file, read as what it holds, or a folder: its tokenizer.json, else its tokenizer.model, else its
  // only *.tiktoken. Throws InputError (file, line or key, found, expected).
  static Tokenizer load(const std::filesystem::path& path);
  // The file that `load` would read: `path` itself, or what it takes from the folder. Throws InputError.
  static std::filesystem::path file_of(const std::filesystem::path& path);
  // That file, and those beside it that `load` reads, too: tokenizer_config.json, special_tokens_map.json,
  // added_tokens.json.
  static std::vector<std::filesystem::path> files_of(const std::filesystem::path& path);
  // Lower-case hexadecimal SHA-256 of all that `load` reads: of the file where it is alone.
  static std::string sha256_of(const std::filesystem::path& path);

  // The bytes of a tokenizer.json; `name` stands for the file in messages. Throws InputError.
  static Tokenizer from_json(std::string_view bytes, const std::string& name = "tokenizer.json");

  // Malformed UTF-8 is read as U+FFFD, one for each maximal part of a character. Added tokens are recognised
  // wherever the text spells them. `add_special_tokens` applies the file's template (BOS and the like);
  // a tokenizer.model's is its BOS in front, if it has one.
  // Throws RunError if a pattern of the file exceeds the regex engine's limits on this text.
  std::vector<int64_t> encode(std::string_view text, bool add_special_tokens = false) const;

  // Special tokens that are not skipped are spelled out. Ids that no token has (a model's padded rows) are left
  // out. The result is valid UTF-8.
  std::string decode(std::span<const int64_t> ids, bool skip_special_tokens = true) const;

  // Largest id + 1, added tokens included.
  int64_t vocab_size() const;

  // By surface form as the file spells it ("Ġthe", "<|eos|>"), added tokens included.
  std::optional<int64_t> token_id(std::string_view token) const;

  // An upper bound of the bytes of text that one token stands for, added tokens included.
  int64_t longest_token_bytes() const;

  // The tokens that begin and end a document, where the files name them: the companions (a chat_template is not
  // read), tokenizer.model, or the encoding of a rank file.
  std::optional<int64_t> bos_id() const;
  std::optional<int64_t> eos_id() const;

  // What the files say that is not read and could matter, a line each.
  const std::vector<std::string>& notes() const;

 private:
  explicit Tokenizer(std::shared_ptr<const text::TokenizerEngine> engine);
  std::shared_ptr<const text::TokenizerEngine> engine_;
};

}  // namespace attnlab
