// No sandbox: the reason is said, and nothing runs.
#include <fstream>

#include "core/errors.h"
#include "sandbox/interpreter.h"
#include "sandbox/walls.h"
#include "small_sandbox.h"

namespace attnlab::test {
namespace {

// PATH is one folder until the end of the scope.
class OnlyPath {
 public:
  explicit OnlyPath(const std::filesystem::path& folder) : before_(std::getenv("PATH")) {
    setenv("PATH", folder.c_str(), 1);
  }
  ~OnlyPath() { setenv("PATH", before_.c_str(), 1); }

 private:
  std::string before_;
};

void write_script(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path) << "#!/bin/sh\n" << text << "\n";
  std::filesystem::permissions(path, std::filesystem::perms::owner_all | std::filesystem::perms::others_all);
}

constexpr const char* kHelpful = "[ \"$1\" = --help ] && echo '--size --disable-userns' && exit 0";

TEST_CASE("a machine without bubblewrap says so, and the sandbox does not begin") {
  const TemporaryFolder folder;
  const OnlyPath path(folder.path());
  CHECK(Sandbox::unavailable() == "bubblewrap is not installed (package bubblewrap)");
  CHECK_THROWS_WITH(Sandbox(),
                    ContainsSubstring("no sandbox for programs that a model wrote: bubblewrap is not"));
}

TEST_CASE("a bubblewrap that is too old says so") {
  const TemporaryFolder folder;
  write_script(folder.path() / "bwrap", "echo '--size only'");
  const OnlyPath path(folder.path());
  CHECK_THAT(*Sandbox::unavailable(), ContainsSubstring("has no option --disable-userns: bubblewrap 0.8"));
}

TEST_CASE("a machine without Python, or with one that does not answer or is too old, says so") {
  const TemporaryFolder folder;
  write_script(folder.path() / "bwrap", kHelpful);
  const OnlyPath path(folder.path());
  CHECK(Sandbox::unavailable() == "Python is not installed: no python3");
  CHECK(Sandbox::unavailable({.python = "/no/such/python"}) == "Python is not installed: no /no/such/python");
  write_script(folder.path() / "python3", "echo broken >&2; exit 1");
  CHECK_THAT(*Sandbox::unavailable(), ContainsSubstring("python3 does not run: broken"));
  write_script(folder.path() / "python3", "exec /bin/sleep 60");
  CHECK_THROWS_WITH(find_interpreter("", 1), ContainsSubstring("python3 gave no answer within 1 s"));
  write_script(folder.path() / "python3", "echo /usr/bin/python3; echo /usr; echo 3 6");
  CHECK_THAT(*Sandbox::unavailable(), ContainsSubstring("is Python 3.6, expected 3.9 or newer"));
}

TEST_CASE("where bubblewrap can build nothing, its own words are passed on") {
  const TemporaryFolder folder;
  write_script(folder.path() / "bwrap",
               std::string(kHelpful) + "\necho 'bwrap: No permissions to create a namespace' >&2; exit 1");
  write_script(folder.path() / "python3", "echo /usr/bin/python3; echo /usr; echo 3 11");
  const OnlyPath path(folder.path());
  CHECK_THAT(*Sandbox::unavailable(), ContainsSubstring("user namespaces") &&
                                          ContainsSubstring("bwrap: No permissions to create a namespace"));
}

}  // namespace
}  // namespace attnlab::test
