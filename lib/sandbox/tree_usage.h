// What a process and all that came from it use, seen from outside.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace attnlab {

struct TreeUsage {
  int64_t resident_bytes = 0;  // private and shared memory, not files; shared pages count for each process
  int64_t threads = 0;
};

// From /proc. Where the kernel has no list of children (CONFIG_PROC_CHILDREN), of the process alone.
TreeUsage tree_usage(pid_t root);

}  // namespace attnlab
