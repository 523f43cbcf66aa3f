// Starting another program from a process that may have many threads and much memory.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

namespace attnlab {

// A descriptor that is closed at the end of the scope; -1: none.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor() { reset(); }
  int get() const { return number_; }
  int release() { return std::exchange(number_, -1); }
  void reset();

 private:
  int number_;
};

// Both ends of a pipe (to read, to write) and of a pair of connected stream sockets; not inherited. Throw
// RunError.
std::pair<Descriptor, Descriptor> make_pipe();
std::pair<Descriptor, Descriptor> make_sockets();

struct Launch {
  std::vector<std::string> command;                 // the first is a path
  std::vector<int> descriptors;                     // become 0, 1, 2, …; all others are closed
  bool keep_environment = false;                    // else it is empty
  std::vector<std::pair<int, rlim_t>> limits = {};  // RLIMIT_…: soft and hard
  // Root only: becomes the user "nobody" of the kernel. `mount_source`, which that user may not reach, is then
  // mounted on /mnt, for this process and its children alone.
  bool as_nobody = false;
  std::string mount_source = {};
};

// Its process id; the caller waits for it. A session of its own, no signal blocked or ignored, first in line
// when the machine runs out of memory. Throws RunError. If the program can't be executed the process ends with
// 127.
pid_t launch(const Launch& what);

struct Finished {
  int status;  // of waitpid
  std::string output, errors;
};
// Runs it to its end (killed after `seconds`), with nothing to read and its output kept up to 1 MiB.
// `descriptors` must be empty. Throws RunError.
Finished run_to_end(Launch what, double seconds);

}  // namespace attnlab
