// A violated ATTNLAB_CHECK ends the program: tests see it end in a process of their own.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace attnlab::test {

// Whether the call ends in abort(). What it prints is dropped.
template <class Call>
bool aborts(const Call& call) {
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);  // Catch would report it as a failed test
    dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
    call();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

}  // namespace attnlab::test
