// From the surface forms of tokens back to text.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "text/regex.h"

namespace attnlab::text {

struct ByteLevelDecoder {};  // the byte-level alphabet back to bytes; joins all tokens
struct ByteFallbackDecoder {
};                      // runs of "<0xE2>" to characters; each byte of a run that is not UTF-8 to U+FFFD
struct FuseDecoder {};  // joins all tokens
struct ReplaceDecoder {
  Pattern pattern;
  std::string content;
};
// Removes up to `start` copies of the character at the front of each token and up to `stop` at its end.
struct StripDecoder {
  std::string character;
  size_t start = 0;
  size_t stop = 0;
};
struct MetaspaceDecoder {
  std::string replacement;
  bool drop_first = true;  // the first token's are the prefix that encoding put there
};
using DecoderStep = std::variant<ByteLevelDecoder, ByteFallbackDecoder, FuseDecoder, ReplaceDecoder,
                                 StripDecoder, MetaspaceDecoder>;

struct Decoder {
  std::vector<DecoderStep> steps;  // each works on the tokens that the one before made

  std::string apply(std::vector<std::string> tokens) const;
};

}  // namespace attnlab::text
