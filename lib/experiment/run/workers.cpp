#include "experiment/run/workers.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "core/errors.h"
#include "core/interrupt.h"
#include "experiment/run/worker_screen.h"

extern char** environ;

namespace attnlab {
namespace {

struct Worker {
  pid_t process = 0;
  int errors = -1;  // what it writes to standard error is read here; -1: closed
};

Worker start(const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  std::string program = "/proc/self/exe";
  argv.push_back(program.data());
  std::vector<std::string> copies = arguments;
  for (auto& argument : copies) argv.push_back(argument.data());
  argv.push_back(nullptr);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw RunError(std::string("cannot make a pipe: ") + std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  Worker worker{.errors = ends[0]};
  const int error = posix_spawn(&worker.process, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (error != 0) throw RunError(std::string("cannot start a worker: ") + std::strerror(error));
  return worker;
}

// Shows what is there to read, at most `wait` long.
void listen(std::vector<Worker>& workers, WorkerScreen& screen, int wait_ms) {
  std::vector<pollfd> waiting;
  for (const auto& worker : workers) waiting.push_back({.fd = worker.errors, .events = POLLIN, .revents = 0});
  if (poll(waiting.data(), waiting.size(), wait_ms) <= 0) return;
  for (size_t i = 0; i < workers.size(); ++i) {
    if (waiting[i].revents == 0) continue;
    char bytes[4096];
    const ssize_t n = read(workers[i].errors, bytes, sizeof bytes);
    if (n > 0) {
      screen.hear(i, {bytes, static_cast<size_t>(n)});
    } else if (n == 0 || errno != EINTR) {
      close(workers[i].errors);
      workers[i].errors = -1;
      screen.end(i);
    }
  }
}

int exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

}  // namespace

// Polls instead of sleeping in waitpid, which a signal would not wake. A signal may have reached this process
// alone and must be passed on, or the whole group (Ctrl-C, a scheduler): then the children must not get it
// twice, which would end them at once. So they get the other of the two.
int run_workers(int64_t count, const std::vector<std::string>& arguments, int64_t steps, int64_t ranks) {
  std::vector<Worker> workers;
  WorkerScreen screen(static_cast<size_t>(count), steps);
  for (int64_t i = 0; i < count; ++i) {
    if (ranks > 1) setenv("ATTNLAB_FIRST_GPU", std::to_string(i * ranks).c_str(), 1);
    workers.push_back(start(arguments));
  }
  int worst = 0;
  bool passed_on = false;
  const auto lives = [](const Worker& worker) { return worker.process > 0 || worker.errors >= 0; };
  while (std::any_of(workers.begin(), workers.end(), lives)) {
    listen(workers, screen, 20);
    for (auto& worker : workers) {
      int status = 0;
      if (worker.process == 0 || waitpid(worker.process, &status, WNOHANG) != worker.process) continue;
      worst = std::max(worst, exit_code(status));
      worker.process = 0;
    }
    if (interrupted() && !passed_on)
      for (const auto& worker : workers)
        if (worker.process > 0) kill(worker.process, interrupting_signal() == SIGINT ? SIGTERM : SIGINT);
    passed_on = interrupted();
  }
  return worst;
}

}  // namespace attnlab
