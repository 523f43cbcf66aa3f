#include "text/utf8.h"

#include "catch.h"

using namespace attnlab::text;

TEST_CASE("encoding and decoding a code point are inverse, and the encoding is valid") {
  for (char32_t c = 0; c <= 0x10FFFF; c += c < 0x3000 ? 1 : 97) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    append_utf8(c, text);
    if (valid_char_length(text) != text.size() || first_code_point(text) != c ||
        last_code_point("é" + text) != c)
      FAIL("code point " << static_cast<uint32_t>(c));
  }
}
