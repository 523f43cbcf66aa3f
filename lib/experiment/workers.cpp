#include "experiment/workers.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "core/errors.h"
#include "core/interrupt.h"

extern char** environ;

namespace attnlab {
namespace {

pid_t start(const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  std::string program = "/proc/self/exe";
  argv.push_back(program.data());
  std::vector<std::string> copies = arguments;
  for (auto& argument : copies) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t child = 0;
  const int error = posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, argv.data(), environ);
  if (error != 0) throw RunError(std::string("cannot start a worker: ") + std::strerror(error));
  return child;
}

int exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

}  // namespace

int run_workers(int64_t count, const std::vector<std::string>& arguments) {
  std::vector<pid_t> children;
  for (int64_t i = 0; i < count; ++i) children.push_back(start(arguments));
  int worst = 0;
  bool passed_on = false;
  for (const pid_t child : children) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
      // A terminal's Ctrl-C reaches the children by itself; a signal to this process alone does not.
      if (interrupted() && !passed_on)
        for (const pid_t other : children) kill(other, SIGTERM);
      passed_on = true;
    }
    worst = std::max(worst, exit_code(status));
  }
  return worst;
}

}  // namespace attnlab
