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

TEST_CASE("a number is read whole or not at all") {
  for (const char* cut : {"1/2", "1 / 2", "1 1/2", "12abc", "1e3", "3:30", "1.2.3", "1..5", "2^10",    "5 - 3",
                          "5-3", "1 000", "7*8",   "7 = 7", "1½",  "2 ½",  "3 × 4", "10²",  "1.234,5", ",5",
                          ".",   "$",     "--5",   "½",     "−5",  "x5",   "#5",    "7, 8"}) {
    CAPTURE(cut);
    CHECK(extract_answer(std::string("#### ") + cut).empty());
    const auto gold = final_answer(std::string("so\n#### ") + cut);
    REQUIRE(gold.has_value());
    CHECK(gold->number.empty());
    CHECK(gold->text == cut);
  }
  const std::vector<std::pair<const char*, const char*>> whole{
      {"1,234", "1234"},    {"$5", "5"},      {"-$5", "-5"},     {"$-5", "-5"},
      {"$70,000", "70000"}, {"3.50", "3.50"}, {"18.", "18"},     {"50%", "50"},
      {"12 apples", "12"},  {".5", ".5"},     {"5 - five", "5"}, {"1,000.", "1000"},
      {"0", "0"},           {"5\u20AC", "5"}, {"72</s>", "72"},  {"  9\r\nmore", "9"}};
  for (const auto& [text, number] : whole) {
    CAPTURE(text);
    CHECK(extract_answer(std::string("#### ") + text) == number);
    CHECK(final_answer(std::string("so\n#### ") + text)->number == number);
  }
}

TEST_CASE("the final answer stands in the last line that begins with the mark") {
  CHECK(final_answer("#### 3\n#### 4\nThe answer is: 4")->number == "4");
  CHECK(final_answer("#### 3 and #### 4")->number == "3");
  CHECK(final_answer("so #### 3, no: #### 4")->number == "4");
  CHECK(final_answer("#### 1. Sum\nIt is so.")->number.empty());
  CHECK(final_answer("#### Sum\nIt is so.")->text == "Sum");
  CHECK_FALSE(final_answer("The answer is 4 ####4").has_value());
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
