#include "ranks/launch.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "core/errors.h"
#include "core/interrupt.h"
#include "core/numbers.h"
#include "ranks/monitor.h"

extern char** environ;

namespace attnlab {
namespace {

constexpr const char* kLauncher = "ATTNLAB_LAUNCHER";  // the process that started this one
using Clock = std::chrono::steady_clock;

pid_t start_rank(int64_t rank, int64_t count, uint16_t port, char** argv) {
  std::vector<std::string> variables{fmt::format("RANK={}", rank),
                                     fmt::format("WORLD_SIZE={}", count),
                                     fmt::format("LOCAL_RANK={}", rank),
                                     fmt::format("LOCAL_WORLD_SIZE={}", count),
                                     "MASTER_ADDR=127.0.0.1",
                                     fmt::format("MASTER_PORT={}", port),
                                     "TORCHELASTIC_USE_AGENT_STORE=True",
                                     fmt::format("{}={}", kLauncher, getpid())};
  const auto is_ours = [&](const char* entry) {
    return std::any_of(variables.begin(), variables.end(), [&](const auto& own) {
      return own.compare(0, own.find('=') + 1, entry, own.find('=') + 1) == 0;
    });
  };
  std::vector<char*> environment;
  for (char** entry = environ; *entry; ++entry)
    if (!is_ours(*entry)) environment.push_back(*entry);
  for (auto& own : variables) environment.push_back(own.data());
  environment.push_back(nullptr);
  pid_t process = 0;
  const int error = posix_spawn(&process, "/proc/self/exe", nullptr, nullptr, argv, environment.data());
  if (error != 0) throw RunError(fmt::format("cannot start rank {}: {}", rank, std::strerror(error)));
  return process;
}

std::string cause_of(int signal) {
  return fmt::format("killed by signal {} ({}){}", signal, strsignal(signal),
                     signal == SIGKILL ? "; the system does so when memory runs out" : "");
}

// All ranks, from their start to their end.
class Ranks {
 public:
  Ranks(int64_t count, char** argv, void (*tell)(const std::string&))
      : tell_(tell), silence_(options_from_environment().silence) {
    uint16_t port = 0;
    store_ = open_store(port);
    try {
      for (int64_t r = 0; r < count; ++r) processes_.push_back(start_rank(r, count, port, argv));
    } catch (const RunError&) {
      signal_all(SIGKILL);
      throw;
    }
  }

  int wait() {
    while (std::any_of(processes_.begin(), processes_.end(), [](pid_t process) { return process > 0; })) {
      for (size_t rank = 0; rank < processes_.size(); ++rank) look_at(rank);
      pass_on_interrupt();
      if (ends_at_ && Clock::now() > *ends_at_) signal_all(SIGKILL);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return code_;
  }

 private:
  void look_at(size_t rank) {
    int status = 0;
    if (processes_[rank] == 0 || waitpid(processes_[rank], &status, WNOHANG) != processes_[rank]) return;
    processes_[rank] = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
    const bool killed_here = ends_at_ && Clock::now() > *ends_at_;
    if (WIFSIGNALED(status) && !killed_here) {
      const auto line = fault_line(static_cast<int64_t>(rank), host_name(), cause_of(WTERMSIG(status)));
      if (write_fault(*store_, line)) tell_(line);
    }
    code_ = std::max(code_, WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    if (!ends_at_) ends_at_ = Clock::now() + 2 * silence_;
  }

  // A signal may have reached this process alone, or the whole group (Ctrl-C): then the ranks must not get the
  // same one twice, which would end them at once. So they get the other of the two.
  void pass_on_interrupt() {
    if (interrupted() && !passed_on_) signal_all(interrupting_signal() == SIGINT ? SIGTERM : SIGINT);
    passed_on_ = interrupted();
  }

  void signal_all(int signal) {
    for (const pid_t process : processes_)
      if (process > 0) kill(process, signal);
  }

  void (*tell_)(const std::string&);
  std::chrono::milliseconds silence_;
  StoreHandle store_;
  std::vector<pid_t> processes_;
  std::optional<Clock::time_point> ends_at_;
  bool passed_on_ = false;
  int code_ = 0;
};

}  // namespace

int launch_ranks(int64_t count, char** argv, void (*tell)(const std::string& line)) {
  return Ranks(count, argv, tell).wait();
}

bool was_launched() {
  const char* launcher = std::getenv(kLauncher);
  const auto process = parse_number<int64_t>(launcher ? launcher : "");
  if (!process) return false;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != *process) std::_Exit(1);  // it had ended before
  return true;
}

}  // namespace attnlab
