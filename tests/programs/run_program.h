// Runs programs of the build as a user does.
#pragma once

#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "catch.h"
#include "core/files.h"

namespace attnlab::test {

// The model that the project ships.
inline std::string base() { return (source_dir() / "data" / "base_small").string(); }

struct Ran {
  int code = 0;
  std::string out, err;
};

// `command`: the program's name and its arguments, as the shell reads them.
inline Ran run_program(const std::string& command) {
  const TemporaryFolder folder;
  const auto out = folder.path() / "out", err = folder.path() / "err";
  const std::string whole = bin_dir().string() + "/" + command + " >" + out.string() + " 2>" + err.string();
  const int status = std::system(whole.c_str());
  return {.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          .out = read_file(out),
          .err = read_file(err)};
}

// Exit code 2, one line on standard error that says `what`, and nothing on standard output.
inline void check_refused(const std::string& command, const std::string& what) {
  INFO(command);
  const Ran outcome = run_program(command);
  INFO(outcome.err);
  CHECK(outcome.code == 2);
  CHECK(outcome.out.empty());
  CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
  CHECK(outcome.err.starts_with(command.substr(0, command.find(' ')) + ": "));
  CHECK_THAT(outcome.err, ContainsSubstring(what));
}

}  // namespace attnlab::test
