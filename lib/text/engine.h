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
  virtual const std::vector<std::string>& notes() const = 0;
};

}  // namespace attnlab::text
