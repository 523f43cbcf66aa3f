// What a tokenizer does, whatever file it was read from. `Tokenizer` shares one of these between its copies.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace attnlab::text {

struct TokenizerParts;

// Immutable; all members may be called from several threads at once. They mean what Tokenizer's do.
class TokenizerEngine {
 public:
  virtual ~TokenizerEngine() = default;
  // `text` is valid UTF-8.
  virtual std::vector<int64_t> encode(std::string_view text, bool add_special_tokens) const = 0;
  virtual std::string decode(std::span<const int64_t> ids, bool skip_special_tokens) const = 0;
  virtual int64_t vocab_size() const = 0;
  virtual std::optional<int64_t> token_id(std::string_view token) const = 0;
  virtual int64_t longest_token_bytes() const = 0;
  virtual std::optional<int64_t> bos_id() const = 0;
  virtual std::optional<int64_t> eos_id() const = 0;
};

// Byte-pair encoding by our own code, from the parts that tokenizer.json or a rank file describes.
std::unique_ptr<TokenizerEngine> make_bpe_engine(TokenizerParts parts);

// The sentencepiece library on the bytes of a tokenizer.model. `file` is for messages. Throws InputError if
// they are none, or a model whose pieces are not unique.
std::unique_ptr<TokenizerEngine> make_sentencepiece_engine(std::string_view bytes, const std::string& file);

}  // namespace attnlab::text
