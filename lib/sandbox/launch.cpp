#include "sandbox/launch.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "core/errors.h"

namespace attnlab {
namespace {

constexpr int kNobody = 65534;
constexpr size_t kMostOutput = 1 << 20;

// Everything that the child needs, made before: between vfork and exec it may only call the system.
struct Prepared {
  std::vector<char*> arguments;
  std::vector<int> descriptors;
  char** environment;
  const Launch* what;
  sigset_t signals;
};

[[noreturn]] void give_up() { _exit(127); }

void reset_signals(const sigset_t& mask) {
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  sigprocmask(SIG_SETMASK, &mask, nullptr);
}

// The kernel kills this one first, before the harness, when memory is short.
void offer_to_memory_killer() {
  const int file = open("/proc/self/oom_score_adj", O_WRONLY);
  if (file < 0) return;
  [[maybe_unused]] const ssize_t written = write(file, "1000", 4);
  close(file);
}

// The C library's own setuid would change all threads of the process that shares this memory: system calls.
void become_nobody(const Launch& what) {
  if (!what.mount_source.empty() &&
      (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
       mount(what.mount_source.c_str(), "/mnt", nullptr, MS_BIND | MS_REC, nullptr) != 0))
    give_up();
  if (syscall(SYS_setgroups, 0, nullptr) != 0 || syscall(SYS_setresgid, kNobody, kNobody, kNobody) != 0 ||
      syscall(SYS_setresuid, kNobody, kNobody, kNobody) != 0)
    give_up();
}

void close_all_from(unsigned first) {
#ifdef SYS_close_range
  if (syscall(SYS_close_range, first, ~0U, 0) == 0) return;
#endif
  for (unsigned number = first; number < 65536; ++number) close(static_cast<int>(number));
}

void place_descriptors(std::vector<int>& numbers) {
  for (int& number : numbers)
    if ((number = fcntl(number, F_DUPFD, 64)) < 0) give_up();
  for (size_t i = 0; i < numbers.size(); ++i)
    if (dup2(numbers[i], static_cast<int>(i)) < 0) give_up();
  close_all_from(static_cast<unsigned>(numbers.size()));
}

[[noreturn]] void child(Prepared& prepared) {
  const Launch& what = *prepared.what;
  reset_signals(prepared.signals);
  setsid();
  offer_to_memory_killer();
  if (what.as_nobody) become_nobody(what);
  place_descriptors(prepared.descriptors);
  for (const auto& [resource, value] : what.limits) {
    const rlimit limit{value, value};
    syscall(SYS_prlimit64, 0, resource, &limit, nullptr);
  }
  execve(prepared.arguments[0], prepared.arguments.data(), prepared.environment);
  give_up();
}

// vfork: a plain fork would copy the page tables of a process that may hold a model. Not inlined, since the
// child runs on the parent's stack.
[[gnu::noinline]] pid_t vfork_child(Prepared& prepared) {
  const pid_t pid = vfork();
  if (pid == 0) child(prepared);
  return pid;
}

void read_some(Descriptor& from, std::string& into) {
  std::array<char, 4096> buffer;
  const ssize_t n = read(from.get(), buffer.data(), buffer.size());
  if (n <= 0) return from.reset();
  if (into.size() < kMostOutput) into.append(buffer.data(), static_cast<size_t>(n));
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    reset();
    number_ = other.release();
  }
  return *this;
}

void Descriptor::reset() {
  if (number_ >= 0) close(number_);
  number_ = -1;
}

std::pair<Descriptor, Descriptor> make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw RunError(std::string("no pipe: ") + std::strerror(errno));
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

std::pair<Descriptor, Descriptor> make_sockets() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw RunError(std::string("no pair of sockets: ") + std::strerror(errno));
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

pid_t launch(const Launch& what) {
  static char* nothing[] = {nullptr};
  Prepared prepared{{}, what.descriptors, what.keep_environment ? environ : nothing, &what, {}};
  for (const std::string& word : what.command) prepared.arguments.push_back(const_cast<char*>(word.c_str()));
  prepared.arguments.push_back(nullptr);
  // A handler of ours must not run in the child, on our memory.
  sigset_t all, before;
  sigfillset(&all);
  sigemptyset(&prepared.signals);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = vfork_child(prepared);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) throw RunError("no process for " + what.command[0] + ": " + std::strerror(error));
  return pid;
}

Finished run_to_end(Launch what, double seconds) {
  const Descriptor nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
  auto [out, out_end] = make_pipe();
  auto [errors, errors_end] = make_pipe();
  what.descriptors = {nothing.get(), out_end.get(), errors_end.get()};
  const pid_t pid = launch(what);
  out_end.reset();
  errors_end.reset();
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::duration<double>(seconds);
  Finished finished{};
  while (out.get() >= 0 || errors.get() >= 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd ends[] = {{out.get(), POLLIN, 0}, {errors.get(), POLLIN, 0}};
    if (left <= 0 || poll(ends, 2, static_cast<int>(left)) == 0) break;
    if (ends[0].revents) read_some(out, finished.output);
    if (ends[1].revents) read_some(errors, finished.errors);
  }
  if (out.get() >= 0 || errors.get() >= 0) kill(pid, SIGKILL);
  while (waitpid(pid, &finished.status, 0) < 0 && errno == EINTR) {
  }
  return finished;
}

}  // namespace attnlab
