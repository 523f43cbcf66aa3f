#include "data/answers.h"

#include "catch.h"

using namespace attnlab;

TEST_CASE("the answer is the number behind the first mark") {
  CHECK(extract_answer("a\n#### 72") == "72");
  CHECK(extract_answer("#### 1,234,567\nmore #### 3") == "1234567");
  CHECK(extract_answer("#### $18.\n") == "18");
  CHECK(extract_answer("#### -5 dollars") == "-5");
  CHECK(extract_answer("#### 3.50") == "3.50");
  CHECK(extract_answer("#### 12.<eos>") == "12");
}

TEST_CASE("no mark or no number gives nothing") {
  CHECK(extract_answer("the answer is 72").empty());
  CHECK(extract_answer("#### none").empty());
  CHECK(extract_answer("#### \n72").empty());
  CHECK(extract_answer("").empty());
}

TEST_CASE("equal numbers match however they are written") {
  CHECK(exact_match("72", "72"));
  CHECK(exact_match("72.00", "72"));
  CHECK(exact_match("072", "72"));
  CHECK(exact_match("1,000", "1000"));
  CHECK(exact_match("0", "0.0"));
  CHECK(exact_match("-0", "0"));
  CHECK(exact_match("$5", "5"));
  CHECK(exact_match("0.50", ".5"));
}

TEST_CASE("different numbers and nothing do not match") {
  CHECK_FALSE(exact_match("72", "720"));
  CHECK_FALSE(exact_match("-72", "72"));
  CHECK_FALSE(exact_match("7.2", "72"));
  CHECK_FALSE(exact_match("100", "1"));
  CHECK_FALSE(exact_match("", ""));
  CHECK_FALSE(exact_match("", "0"));
  CHECK_FALSE(exact_match("0", ""));
}
