#include "sandbox/cell.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/errors.h"
#include "sandbox/seccomp.h"

namespace attnlab {
namespace {

constexpr auto kStartTime = std::chrono::seconds(60);

// The filter as a pipe that has it all and is at its end.
Descriptor filter_pipe() {
  auto [reader, writer] = make_pipe();
  const std::string filter = seccomp_filter();
  if (write(writer.get(), filter.data(), filter.size()) != static_cast<ssize_t>(filter.size()))
    throw RunError("the filter of system calls does not fit into a pipe");
  return std::move(reader);
}

bool readable(int descriptor, int milliseconds) {
  pollfd end{descriptor, POLLIN, 0};
  return poll(&end, 1, milliseconds) > 0;
}

}  // namespace

Cell::Cell(const Walls& walls, const std::string& module, const std::string& arguments) {
  Launch what = walled_python(walls, module, arguments);
  const Descriptor nothing(open("/dev/null", O_RDWR | O_CLOEXEC)), filter = filter_pipe();
  auto [ours, theirs] = make_sockets();
  auto [info, info_end] = make_pipe();
  auto [errors, errors_end] = make_pipe();
  what.descriptors = {nothing.get(), nothing.get(), errors_end.get(),
                      theirs.get(),  filter.get(),  info_end.get()};
  outside_ = launch(what);
  channel_ = std::move(ours);
  info_ = std::move(info);
  errors_ = std::move(errors);
}

Cell::~Cell() {
  kill_all();
  channel_.reset();
  // bubblewrap ends when process 1 has, and that has when all others have. Should it not, its own end kills
  // them.
  if (handle_.get() < 0 || !readable(handle_.get(), 10000)) kill(outside_, SIGKILL);
  while (waitpid(outside_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Cell::wait_ready() {
  if (!receive_ready(channel_.get(), Clock::now() + kStartTime))
    throw RunError("a sandbox did not start: " + complaint());
  errors_.reset();
  read_inside();
}

// What bubblewrap or Python said before they ended.
std::string Cell::complaint() {
  kill(outside_, SIGKILL);
  std::array<char, 1024> buffer;
  if (!readable(errors_.get(), 1000)) return "no message";
  const ssize_t n = read(errors_.get(), buffer.data(), buffer.size());
  return n > 0 ? valid_utf8({buffer.data(), static_cast<size_t>(n)}, buffer.size()) : "no message";
}

void Cell::kill_all() {
  if (handle_.get() < 0) read_inside();
  if (handle_.get() >= 0)
    syscall(SYS_pidfd_send_signal, handle_.get(), SIGKILL, nullptr, 0);
  else
    kill(outside_, SIGKILL);
}

// bubblewrap writes {"child-pid": NUMBER, …} as soon as there is one.
void Cell::read_inside() {
  if (info_.get() < 0) return;
  std::array<char, 1024> buffer;
  std::string text;
  while (text.find('}') == std::string::npos && readable(info_.get(), 10000)) {
    const ssize_t n = read(info_.get(), buffer.data(), buffer.size());
    if (n <= 0) break;
    text.append(buffer.data(), static_cast<size_t>(n));
  }
  info_.reset();
  const size_t at = text.find("\"child-pid\":");
  if (at == std::string::npos) return;
  inside_ = std::atoi(text.c_str() + at + 12);
  handle_ = Descriptor(static_cast<int>(syscall(SYS_pidfd_open, inside_, 0)));
}

}  // namespace attnlab
