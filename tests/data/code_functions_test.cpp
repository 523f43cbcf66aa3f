#include "data/code_functions.h"

#include <cstdlib>
#include <map>
#include <set>

#include "catch.h"
#include "core/files.h"

using namespace attnlab;

namespace {

// Exit status of a shell command, -1 if it did not start.
int shell(const std::string& command) {
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// python3 inside a sandbox without network that sees the file system read-only.
int run_python(const std::filesystem::path& program) {
  return shell("bwrap --unshare-all --die-with-parent --ro-bind / / --dev /dev --proc /proc python3 " +
               program.string() + " >/dev/null 2>&1");
}

std::string golden_text() {
  std::string text;
  for (int64_t i = 0; i < 100; ++i) {
    const CodeFunction f = code_function(0, Split::train, i, 1 + i % 5);
    text += f.task_id + f.text + f.entry_point + f.prompt + f.body + f.code;
    for (const std::string& test : f.test_list) text += test;
  }
  return text;
}

}  // namespace

TEST_CASE("generated functions pass their tests in Python, and the docstring's example holds") {
  const test::TemporaryFolder folder;
  const auto program = folder.path() / "all.py";
  write_file_atomic(program, "assert 1 + 1 == 2\n");
  if (run_python(program) != 0) SKIP_TEST("bwrap or python3 does not start here");
  write_file_atomic(program, "assert 1 + 1 == 3\n");
  REQUIRE(run_python(program) == 1);

  std::string text = "import doctest\n";
  for (int64_t i = 0; i < 400; ++i) {
    const CodeFunction f = code_function(11, i % 2 ? Split::test : Split::train, i, 1 + i % 5);
    REQUIRE(f.test_list.size() == 3);
    for (const std::string& source : {f.code, f.prompt + f.body}) {
      text += source;
      for (const std::string& line : f.test_list) text += line + "\n";
    }
    text +=
        "runner = doctest.DocTestRunner()\n"
        "for t in doctest.DocTestFinder().find(" +
        f.entry_point +
        ", globs=globals()):\n"
        "    assert t.examples\n"
        "    assert runner.run(t).failed == 0\n";
  }
  write_file_atomic(program, text);
  CHECK(run_python(program) == 0);
}

TEST_CASE("no generated function lies in two splits, whatever its name") {
  std::map<std::string, Split> owner;
  for (const Split split : {Split::train, Split::valid, Split::test})
    for (int64_t i = 0; i < 10000; ++i) {
      const CodeFunction f = code_function(static_cast<uint64_t>(i % 3), split, i / 3, 1 + i % 5);
      REQUIRE(owner.emplace(f.text, split).first->second == split);
    }
  CHECK(owner.size() > 8000);
}

TEST_CASE("there are many families of functions") {
  std::set<std::string> names;
  for (int64_t i = 0; i < 2000; ++i) names.insert(code_function(0, Split::train, i, 1).entry_point);
  CHECK(names.size() > 40);
}

TEST_CASE("the first hundred functions are the ones that shipped models were trained on") {
  CHECK(sha256(golden_text()) == "c260d85b0a2e59df0b174e97dfd2f93c7dfac9ba23d852805e394929c5cff7b8");
}
