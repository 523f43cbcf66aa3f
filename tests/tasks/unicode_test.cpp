#include "tasks/unicode.h"

#include "support.h"

namespace attnlab {
namespace {

TEST_CASE("white space is what Python takes for it") {
  CHECK(stripped(" \t\n a b \r\n") == "a b");
  CHECK(stripped("\u00A0\u2003\u3000x\u2028") == "x");
  CHECK(stripped("\u200Bx") == "\u200Bx");  // a zero-width space is none
  CHECK(stripped("   ").empty());
  CHECK(length_without_trailing_space("ab \u00A0") == 2);
  CHECK(length_without_trailing_space("é") == 2);
  CHECK(stripped("\x1C\x1Fx") == "x");
}

TEST_CASE("characters are code points") {
  CHECK(character_count("résumé") == 6);
  CHECK(character_count("日本") == 2);
  CHECK(character_count("🎉") == 1);
  CHECK(character_count("") == 0);
  CHECK(character_count("a\xFF\x62") == 3);
}

TEST_CASE("words are the pieces between runs of white space") {
  CHECK(word_count("a b") == 2);
  CHECK(word_count(" a  b ") == 4);  // the empty pieces at both ends count
  CHECK(word_count("") == 1);
  CHECK(word_count("a\u3000b") == 2);
}

TEST_CASE("capitalised text has one large letter") {
  CHECK(capitalized("hELLO World") == "Hello world");
  CHECK(capitalized("élan VITAL") == "Élan vital");
  CHECK(capitalized("").empty());
}

TEST_CASE("replacing goes from left to right and not over what it wrote") {
  CHECK(replaced("aaaa", "aa", "a") == "aa");
  CHECK(replaced("x-y-z", "-", "--") == "x--y--z");
  CHECK(is_word_character(U'é'));
  CHECK(is_word_character(U'_'));
  CHECK(is_word_character(U'٣'));
  CHECK_FALSE(is_word_character(U'-'));
}

}  // namespace
}  // namespace attnlab
