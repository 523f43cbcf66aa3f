// Programs that forge, break out or take too much. More of them: scripts/hostile_test.sh.
#include <fstream>

#include "attacks.h"
#include "core/files.h"
#include "sandbox/tree_usage.h"
#include "small_sandbox.h"

namespace attnlab::test {
namespace {

// Children of this process, theirs included.
int64_t threads_below() { return tree_usage(getpid()).threads; }

TEST_CASE("no forged verdict passes") {
  NEEDS_SANDBOX();
  Sandbox sandbox(small_options());
  for (const Attack& attack : kForgeries) {
    CAPTURE(attack.name);
    const CodeVerdict verdict = sandbox.judge({next_number(attack.program)})[0];
    CAPTURE(verdict.result);
    CHECK(verdict.outcome != Outcome::passed);
  }
  CHECK(sandbox.judge({next_number(kRight)})[0].result == "passed");
}

TEST_CASE("a program that takes all it can is ended, and the next one judged rightly") {
  NEEDS_SANDBOX();
  SandboxOptions options = small_options();
  options.memory_mib = 512;
  Sandbox sandbox(options);
  for (const Attack& attack : kBombs) {
    CAPTURE(attack.name);
    const int64_t before = threads_below();
    const auto verdicts = sandbox.judge({next_number(attack.program), next_number(kRight)});
    CAPTURE(verdicts[0].result);
    CHECK(verdicts[0].outcome != Outcome::passed);
    CHECK(verdicts[0].seconds < 6);
    CHECK(verdicts[1].result == "passed");
    CHECK(threads_below() == before);
  }
}

TEST_CASE("many children can't get round the memory limit") {
  NEEDS_SANDBOX();
  const CodeVerdict verdict = judge_next_number(
      "import posix, time\n"
      "def f(n):\n"
      "    for _ in range(8):\n"
      "        if posix.fork() == 0:\n"
      "            x = b'x' * (200 << 20)\n"
      "            time.sleep(30)\n"
      "    time.sleep(30)\n",
      {.seconds = 10, .memory_mib = 512, .workers = 1});
  CHECK(verdict.result == "failed: too much memory, or too many processes");
}

TEST_CASE("inside, nothing of the machine can be written, and nothing of the user's be seen") {
  NEEDS_SANDBOX();
  const TemporaryFolder folder;
  const std::filesystem::path secret = folder.path() / "secret";
  std::ofstream(secret) << "canary text";
  setenv("CANARY_SECRET", "canary variable", 1);
  const std::string python_path = "'" + secret.string() + "'";
  for (const Attack& attack : kEscapes) {
    CAPTURE(attack.name);
    std::string program = attack.program;
    if (const size_t at = program.find("SECRET_PATH"); at != std::string::npos)
      program.replace(at, 11, python_path);
    const CodeVerdict verdict = judge_one(program, "got = escaped()\nassert not got, got\n");
    CHECK(verdict.result == "passed");
  }
  CHECK(read_file(secret) == "canary text");
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("nothing carries over from one program to the next") {
  NEEDS_SANDBOX();
  SandboxOptions options = small_options();
  options.workers = 1;
  Sandbox sandbox(options);
  const std::string leave =
      "import posix, time\nopen('/tmp/left', 'w').write('x')\nopen('/dev/shm/left', 'w').write('x')\n"
      "if posix.fork() == 0:\n    posix.setsid()\n    time.sleep(60)\n";
  const std::string look =
      "import posix\n"
      "assert not posix.listdir('/tmp') and not posix.listdir('/dev/shm'), 'files'\n"
      "assert sum(name.isdigit() for name in posix.listdir('/proc')) == 2, 'processes'\n";
  const int64_t before = threads_below();
  const auto verdicts = sandbox.judge({next_number(leave + kRight), next_number(look + kRight)});
  CHECK(verdicts[0].result == "passed");
  CHECK(verdicts[1].result == "passed");
  CHECK(threads_below() == before);
}

TEST_CASE("built-in functions of the tests are not the program's") {
  NEEDS_SANDBOX();
  const TestedProgram close{
      "def abs(x):\n    return 0\nimport builtins\nbuiltins.abs = abs\ndef f(n):\n    return 5\n",
      "def check(candidate):\n    assert abs(candidate(1) - 2) < 0.1\n", "f"};
  const TestedProgram modules{
      "class math:\n    isclose = staticmethod(lambda *a, **k: True)\ndef f(n):\n    return 5\n",
      "assert math.isclose(f(1), 2)\n", ""};
  Sandbox sandbox(small_options());
  for (const CodeVerdict& verdict : sandbox.judge({close, modules})) CHECK(verdict.outcome == Outcome::failed);
}

}  // namespace
}  // namespace attnlab::test
