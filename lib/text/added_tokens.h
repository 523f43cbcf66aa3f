// Tokens that are found in the text as they stand, before it is normalised and split.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/utf8.h"

namespace attnlab::text {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space behind it
  bool normalized = false;   // looked for in the normalised text
  bool special = false;      // left out by decode(skip_special_tokens)
};

// A stretch of text: an added token, or text between added tokens.
struct TextPart {
  std::optional<int32_t> id;
  Span span;
};

class AddedTokenMatcher {
 public:
  // `spelling`: what to look for (the content, normalised where the token asks for it). Not empty.
  void add(AddedToken token, std::string_view spelling);
  // From left to right, the longest token at each place. Time O(n · longest token).
  std::vector<TextPart> split(std::string_view text) const;

 private:
  struct Match {
    const AddedToken* token = nullptr;
    size_t length = 0;
  };
  Match longest_match(std::string_view text) const;

  std::vector<AddedToken> tokens_;
  // A trie over bytes: (node << 8 | byte) -> node; node 0 is the root.
  std::unordered_map<uint64_t, uint32_t> children_;
  std::vector<int32_t> token_at_node_{-1};
  std::array<bool, 256> starts_token_{};
};

}  // namespace attnlab::text
