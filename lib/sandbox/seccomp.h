// System calls that no tested program needs, refused by the kernel.
#pragma once

#include <string>

namespace attnlab {

// A filter as `bwrap --seccomp` reads it: an array of sock_filter (seccomp(2)). Empty on processors that it is
// not written for. It refuses what would hide memory from the watch (memfd, System V shared memory and queues),
// and what reaches into the kernel or other processes (bpf, perf, keys, tracing, mounts, namespaces, io_uring).
std::string seccomp_filter();

}  // namespace attnlab
