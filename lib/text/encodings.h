// What rank files leave out: the pattern that cuts words and the special tokens, by name of the encoding.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace attnlab::text {

struct Encoding {
  std::string_view name;
  int32_t ranks = 0;  // its special tokens' ids follow
  std::string_view expression;
  std::vector<std::string> special_tokens;
  std::vector<std::string> added_tokens;  // not special: decoding keeps them
  std::string_view bos;                   // put before a text with special tokens; empty: none
  std::string_view eos;
};

const std::vector<Encoding>& known_encodings();

}  // namespace attnlab::text
