#include "support.h"
#include "tasks/extract.h"
#include "tasks/score.h"
#include "tasks/transmla_answers.h"

namespace attnlab {
namespace {

using test::none;

TEST_CASE("the number behind the last words of the answer is rounded") {
  CHECK(rounded_answer("So. The answer is: 72") == "72");
  CHECK(rounded_answer("The answer is: 1. No. The answer is: $1,234.") == "1234");
  CHECK(rounded_answer("The answer is: 72.00 dollars") == "72");
  CHECK(rounded_answer("The answer is: -7") == "-7");
  CHECK(rounded_answer("The answer is: 2.5") == "2");  // halves to even
  CHECK(rounded_answer("The answer is: 3/4") == "1");
  CHECK(rounded_answer("The answer is: 5/0") == "5");
  CHECK(rounded_answer("The answer is: .5") == "0");
  CHECK(rounded_answer("The answer is: -0.2") == "0");
  CHECK(rounded_answer("The answer is: 1,234,567") == "1234");
  for (const char* text : {"72", "The answer is 72", "the answer is: 72", "The answer is: none",
                           "The answer is: /5", "The answer is: 5/00", ""})
    CHECK(rounded_answer(text) == none);
  CHECK(rounded_answer("The answer is: " + std::string(400, '9')) == none);
}

TEST_CASE("rounded numbers are compared as numbers") {
  CHECK(same_rounded_number("2125", "2,125"));
  CHECK(same_rounded_number("72", "72.0"));
  CHECK_FALSE(same_rounded_number("72", "73"));
  CHECK_FALSE(same_rounded_number("0", "none"));
  CHECK_FALSE(same_rounded_number(none, "0"));
}

TEST_CASE("a MATH answer ends with its sentence") {
  CHECK(math_answer_text("The answer is: $\\frac{1}{2}$.") == "$\\frac{1}{2}$");
  CHECK(math_answer_text("The answer is: 0.5.\nBecause.") == "0.5");
  CHECK(math_answer_text("The answer is: ") == "");
  CHECK(math_answer_text("0.5") == none);
}

TEST_CASE("code is cut out of its fence and before what follows it") {
  CHECK(code_of_reply("Here:\n```python\ndef f():\r\n    return 1\n```\nDone.") == "def f():\n    return 1");
  CHECK(code_of_reply("```python\nx = 1") == "\nx = 1");
  CHECK(code_of_reply("    return 1\n") == "    return 1\n");
  CHECK(code_of_reply("x = 1\nif __name__ == \"__main__\":\n    f()") == "x = 1");
  CHECK(code_of_reply("x = 1\n\n# Example usage:\nf()") == "x = 1");
  CHECK(code_of_reply("x = 1\nassert x") == "x = 1");
  CHECK(code_of_reply("x = 1  # we assert\ny = 2") == "x = 1  # we");  // wherever it stands
  CHECK(code_of_reply("```\nx = 1\n```") == "```\nx = 1\n```");
}

TEST_CASE("the instruction template frames the question") {
  const Preset& preset = preset_of(Task::gsm8k, Protocol::transmla_v1);
  CHECK(preset.question({.question = "How many?"}) ==
        "Below is an instruction that describes a task. Write a response that appropriately completes the "
        "request.\n\n### Instruction:\nHow many?\n\n### Response:");
  const auto scores = score(preset, {{.id = "0", .gold = "2,125"}}, {{0, "The answer is: 2125"}}, nullptr);
  CHECK(scores[0].correct);
}

}  // namespace
}  // namespace attnlab
