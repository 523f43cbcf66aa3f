#include "experiment/run/workers.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

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

// Polls instead of sleeping in waitpid, which a signal would not wake. A signal may have reached this process
// alone and must be passed on, or the whole group (Ctrl-C, a scheduler): then the children must not get it
// twice, which would end them at once. So they get the other of the two.
int run_workers(int64_t count, const std::vector<std::string>& arguments) {
  std::vector<pid_t> children;
  for (int64_t i = 0; i < count; ++i) children.push_back(start(arguments));
  int worst = 0;
  bool passed_on = false;
  while (!children.empty()) {
    std::erase_if(children, [&](pid_t child) {
      int status = 0;
      if (waitpid(child, &status, WNOHANG) != child) return false;
      worst = std::max(worst, exit_code(status));
      return true;
    });
    if (interrupted() && !passed_on)
      for (const pid_t child : children) kill(child, interrupting_signal() == SIGINT ? SIGTERM : SIGINT);
    passed_on = interrupted();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return worst;
}

}  // namespace attnlab
