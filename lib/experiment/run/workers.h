// Several processes of this program on one machine, sharing a plan through the runs' locks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace attnlab {

// Starts `count` processes of this executable with `arguments` and waits for all of them; an interrupt is
// passed on. Returns the largest of their exit codes. Throws RunError if one cannot be started.
int run_workers(int64_t count, const std::vector<std::string>& arguments);

}  // namespace attnlab
