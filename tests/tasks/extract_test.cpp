#include "tasks/extract.h"

#include "support.h"
#include "tasks/code_cuts.h"

namespace attnlab {
namespace {

using test::none;

TEST_CASE("the strict answer stands behind four hashes and one space") {
  CHECK(answer_after_hashes("so\n#### 72") == "72");
  CHECK(answer_after_hashes("##### 72") == "72");
  CHECK(answer_after_hashes("#### -1,234.5 or #### 6") == "-1,234.5");
  CHECK(answer_after_hashes("#### x\n#### 5") == "5");
  for (const char* text :
       {"####72", "####  72", "#### $72", "#### +72", "#### **72**", "####\u00A072", "#### -", ""})
    CHECK(answer_after_hashes(text) == none);
}

TEST_CASE("the numbers of a reply are its runs of digits") {
  CHECK(numbers_of_reply("#### 12,34") == "12,34");
  CHECK(numbers_of_reply("They are 12 and 34.") == "12,34");
  CHECK(numbers_of_reply("kipo: 42, -7") == "42,7");
  CHECK(numbers_of_reply("12345") == "12345");
  CHECK(numbers_of_reply("none") == none);
}

TEST_CASE("the chain of thought's answer needs one character more") {
  CHECK(answer_before_any_character("The answer is 72.") == "72");
  CHECK(answer_before_any_character("The answer is 72") == "7");
  CHECK(answer_before_any_character("The answer is 72. So") == "72.");
  CHECK(answer_before_any_character("The answer is 13.0") == "13.");
  CHECK(answer_before_any_character("The answer is 72\nno") == "7");
  CHECK(answer_before_any_character("The answer is -7 é") == "-7");
  CHECK(answer_before_any_character("The answer is 7é") == "7");
  CHECK(answer_before_any_character("The answer is 7. The answer is 8.") == "7.");
  CHECK(answer_before_any_character("The answer is x. The answer is 8.") == "8");
  for (const char* text :
       {"The answer is 7", "The answer is -7", "the answer is 72.", "The answer is $72.", ""})
    CHECK(answer_before_any_character(text) == none);
}

TEST_CASE("the flexible answer is the last thing like a number") {
  CHECK(last_number("3 and 72.") == "72.");
  CHECK(last_number("72 ...") == "...");
  CHECK(last_number("1-72") == "-72");
  CHECK(last_number("72/1") == "1");
  CHECK(last_number("$\\boxed{72}$.") == "$.");
  CHECK(last_number("--5") == "-5");
  CHECK(last_number("-$") == none);
  CHECK(last_number("5 -") == "5");
  CHECK(last_number("\u221272") == "72");
  CHECK(last_number("٧٢") == none);
}

TEST_CASE("numbers are compared as text without commas, dollars and one dot") {
  CHECK(same_number_text("2,1,2,5", "worked\n#### 2,125"));
  CHECK(same_number_text("$72.", "72"));
  for (const char* text : {"72..", "72.00", "072", "-$72"}) CHECK_FALSE(same_number_text(text, "72"));
  CHECK_FALSE(same_number_text(kNoAnswer, kNoAnswer));
}

TEST_CASE("fences of the instruct tasks") {
  CHECK(before_fence("a\n```\nb") == "a\n");
  CHECK(before_fence("a") == "a");
  CHECK(first_fenced("def f(x):\n    return x\n```") == " f(x):\n    return x");
  CHECK(first_fenced("\ndef f(x): return x\n```") == "def f(x): return x");
  CHECK(first_fenced("é = 1```") == " = 1");
  CHECK(first_fenced("x\n```").empty());
  CHECK(first_fenced("def f(x): return x").empty());
}

TEST_CASE("mbpp_instruct's extraction is that of lm_eval") {
  if (!test::all_there({test::fixture("mbpp_extract.jsonl")})) SKIP_TEST("no mbpp_extract.jsonl");
  const auto rows = test::read_jsonl(test::fixture("mbpp_extract.jsonl"));
  REQUIRE(rows.size() == 23);
  for (const auto& row : rows) {
    CAPTURE(row["id"]);
    CHECK(first_fenced(row["response"].get<std::string>()) == row["extracted"].get<std::string>());
  }
}

}  // namespace
}  // namespace attnlab
