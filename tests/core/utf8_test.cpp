#include "core/utf8.h"

#include "catch.h"

using namespace attnlab;

namespace {
const std::string kBad = "\xEF\xBF\xBD";
}

TEST_CASE("malformed UTF-8 becomes one replacement character for each maximal part") {
  CHECK(utf8_lossy("a\x80z") == "a" + kBad + "z");
  CHECK(utf8_lossy("\xC0\xAF") == kBad + kBad);                        // overlong
  CHECK(utf8_lossy("\xE2\x82") == kBad);                               // cut off at the end
  CHECK(utf8_lossy("\xE2\x82z") == kBad + "z");                        // cut off before z
  CHECK(utf8_lossy("\xED\xA0\x80") == kBad + kBad + kBad);             // a surrogate
  CHECK(utf8_lossy("\xF4\x90\x80\x80") == kBad + kBad + kBad + kBad);  // above U+10FFFF
  CHECK(utf8_lossy("\xF0\x9F\x98") == kBad);
  CHECK(utf8_lossy("\xFF\xFE") == kBad + kBad);
  CHECK(utf8_lossy("\xE0\x9F\xBF") == kBad + kBad + kBad);
}

TEST_CASE("well-formed UTF-8 is left alone") {
  const std::string text = std::string("a\0é€😀\U0010FFFF", 15);
  CHECK(is_valid_utf8(text));
  CHECK(utf8_lossy(text) == text);
}
