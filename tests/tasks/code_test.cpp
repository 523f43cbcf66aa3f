// Programs cut out of replies and run. Cases that run one skip where there is no sandbox.
#include "support.h"
#include "tasks/sanitize.h"
#include "tasks/score.h"

namespace attnlab {
namespace {

using Texts = std::vector<std::string>;

const Problem add_one{.id = "0",
                      .prompt = "def add_one(x):\n    \"\"\"x + 1\"\"\"\n",
                      .tests = "def check(f):\n    assert f(1) == 2\n",
                      .entry_point = "add_one",
                      .calls_check = true};

TEST_CASE("a completion is cut as each harness cuts it") {
  const std::string reply = "    return x + 1\n@cache\n```\nif\ndef g():<|endoftext|>";
  const auto cut = [&](Protocol protocol) { return extract(preset_of(Task::humaneval, protocol), reply); };
  CHECK(cut(Protocol::human_eval) == reply);
  CHECK(cut(Protocol::lm_eval) == "    return x + 1\n@cache\n```");
  CHECK(cut(Protocol::lm_eval_instruct) == "    return x + 1\n@cache\n");
  CHECK(cut(Protocol::bigcode) == "    return x + 1");
  CHECK(extract(preset_of(Task::mbpp, Protocol::lm_eval), "x = 1\n[DONE]\ny") == "x = 1\n");
  CHECK(extract(preset_of(Task::mbpp, Protocol::bigcode), "x = 1\nassert x") == "x = 1");
}

TEST_CASE("a program stands behind what its protocol puts in front") {
  const Problem mbpp{.question = "Add one.", .assertions = {"assert f(1) == 2", "assert f(2) == 3"}};
  const auto program = [](Task task, Protocol protocol, const Problem& problem) {
    return preset_of(task, protocol).program(problem, "X");
  };
  CHECK(program(Task::humaneval, Protocol::lm_eval, add_one) == add_one.prompt + "X");
  CHECK(program(Task::humaneval, Protocol::evalplus, add_one) == "X");
  CHECK(program(Task::mbpp, Protocol::lm_eval, mbpp) == "X");
  CHECK(program(Task::mbpp, Protocol::bigcode, mbpp) == "\"\"\"\nAdd one.\nassert f(1) == 2\n\"\"\"\nX");
}

TEST_CASE("an indented reply continues the prompt, others are chat replies") {
  for (const char* reply : {"    return 1", "\n\n  return 1", "\treturn 1"}) CHECK(continues_prompt(reply));
  for (const char* reply : {"", "\n", " Here it is:", "def f():\n    return 1", "   ```python\nx", "  ~~~\nx"})
    CHECK_FALSE(continues_prompt(reply));
  const Problem problem{.prompt = "\ndef f():\n"};
  CHECK(sanitize_input(problem, "\treturn 1\ndef g", true, {"\ndef "}) == "def f():\n    return 1");
  CHECK(sanitize_input(problem, "\treturn 1", false, {"\n"}) == "\treturn 1");
}

TEST_CASE("programs are judged by their tests") {
  if (const auto reason = Sandbox::unavailable()) SKIP_TEST(*reason);
  Sandbox sandbox;
  const std::vector<Reply> replies{{0, "    return x + 1\n"}, {0, "    return x\n"}, {0, "    return x +"}};
  int64_t finished = 0;
  const auto scores = score(preset_of(Task::humaneval, Protocol::lm_eval), {add_one}, replies, &sandbox,
                            [&](int64_t done) { finished = done; });
  REQUIRE(scores.size() == 3);
  CHECK(finished == 3);
  CHECK(scores[0].correct);
  CHECK(scores[0].result == "passed");
  CHECK_FALSE(scores[1].correct);
  CHECK_THAT(scores[1].result, ContainsSubstring("failed"));
  CHECK_FALSE(scores[2].correct);
}

TEST_CASE("MBPP's assertions are the tests") {
  if (const auto reason = Sandbox::unavailable()) SKIP_TEST(*reason);
  Sandbox sandbox;
  const Problem problem{.id = "1", .tests = "assert f(1) == 2\nassert f(2) == 3", .entry_point = "f"};
  const auto scores = score(preset_of(Task::mbpp, Protocol::lm_eval), {problem},
                            {{0, "f = lambda x: x + 1\n[DONE]"}, {0, "f = lambda x: 2"}}, &sandbox);
  CHECK(scores[0].correct);
  CHECK_FALSE(scores[1].correct);
}

TEST_CASE("sanitising keeps what the entry point reaches") {
  if (const auto reason = Sandbox::unavailable()) SKIP_TEST(*reason);
  Sandbox sandbox;
  const auto programs = sanitize(sandbox, {{"It's this:\n```python\nimport re\nLIMIT = 3\ndef helper(a):\n    "
                                            "return a.size\ndef unused():\n    return 1\n"
                                            "def f(x):\n    return helper(x) + LIMIT\nprint(f(1))\n```",
                                            "f"},
                                           {"x = 1\ny = 2", "f"},
                                           {"no code\nat all here", "f"},
                                           {"@cache\ndef f():\n    return 1\ndef g():\n    return f\n", ""},
                                           {"def f():\n    return 1\ndef f():\n    return 2\n", "f"},
                                           {"def f():\n    pass\n", "f"},
                                           {"é = 'ü'\ndef f():\n    return é\n", "f"},
                                           {"", "f"}});
  REQUIRE(programs.size() == 8);
  CHECK(programs[0] ==
        "import re\nLIMIT = 3\ndef helper(a):\n    return a.size\ndef f(x):\n    return helper(x) + LIMIT");
  CHECK(programs[1] == "x = 1\ny = 2");            // reached by nothing: as it is
  CHECK(programs[2] == "no code");                 // no run of lines parses: the first line
  CHECK(programs[3] == "def g():\n    return f");  // decorated definitions are not seen
  CHECK(programs[4] == "def f():\n    return 1");
  CHECK(programs[5] == "def f():\n    pass");  // a function that returns nothing is no definition
  CHECK(programs[6] == "é = 'ü'\ndef f():\n    return é");
  CHECK(programs[7] == "");
}

TEST_CASE("chat replies are sanitised and run") {
  if (const auto reason = Sandbox::unavailable()) SKIP_TEST(*reason);
  Sandbox sandbox;
  const Preset& preset = preset_of(Task::humaneval, Protocol::evalplus);
  const auto scores = score(preset, {add_one},
                            {{0, "Sure!\n```python\ndef add_one(x):\n    return x + 1\n```\n"},
                             {0, "    return x + 1\ndef next"},
                             {0, "I would rather not.\nReally."}},
                            &sandbox);
  CHECK(scores[0].correct);
  CHECK(scores[0].extracted == "def add_one(x):\n    return x + 1");
  CHECK(scores[1].correct);
  CHECK_FALSE(scores[2].correct);
}

}  // namespace
}  // namespace attnlab
