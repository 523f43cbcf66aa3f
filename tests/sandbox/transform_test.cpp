#include "small_sandbox.h"

namespace attnlab::test {
namespace {

TEST_CASE("a script reads one text after the other, results in order") {
  NEEDS_SANDBOX();
  Sandbox sandbox(small_options());
  const auto out = sandbox.transform("import sys\nprint(sys.stdin.read()[::-1], end='')\n",
                                     {"abc", "", "h\u00e9\n", std::string(300000, 'x') + "y"});
  REQUIRE(out.size() == 4);
  CHECK(out[0] == "cba");
  CHECK(out[1] == "");
  CHECK(out[2] == "\n\u00e9h");
  CHECK(out[3] == "y" + std::string(300000, 'x'));
}

TEST_CASE(
    "a script that fails, never ends, dies or prints too much gives nothing, and the next one something") {
  NEEDS_SANDBOX();
  SandboxOptions options = small_options();
  options.output_kib = 16;
  Sandbox sandbox(options);
  const std::string script =
      "import ast, os, sys\n"
      "text = sys.stdin.read()\n"
      "if text == 'loop':\n    while True: pass\n"
      "if text == 'die':\n    os._exit(0)\n"
      "if text == 'exit':\n    sys.exit(1)\n"
      "if text == 'flood':\n    print('x' * 20000)\n"
      "if text == 'bomb':\n    x = bytearray(64 << 30)\n"
      "print(len(ast.parse(text).body))\n";
  const auto out = sandbox.transform(
      script, {"x = 1", "(", "loop", "x = 1\ny = 2", "die", "exit", "flood", "bomb", "", "a\n\n\nb"});
  const std::vector<std::optional<std::string>> expected{"1\n", {}, {}, "2\n", {}, {}, {}, {}, "0\n", "2\n"};
  CHECK(out == expected);
}

TEST_CASE("nothing carries over from one text to the next") {
  NEEDS_SANDBOX();
  SandboxOptions options = small_options();
  options.workers = 1;
  Sandbox sandbox(options);
  const std::string script =
      "import os, random, sys\nsys.seen = getattr(sys, 'seen', 0) + 1\nprint(sys.seen)\n";
  const auto out = sandbox.transform(script, {"a", "b", "c"});
  CHECK(out == std::vector<std::optional<std::string>>(3, "1\n"));
}

}  // namespace
}  // namespace attnlab::test
