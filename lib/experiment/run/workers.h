// Several processes of this program on one machine, sharing a plan through the runs' locks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace attnlab {

// Starts `count` processes of this executable with `arguments`, shows what they write to standard error on one
// screen (worker_screen.h; `steps`: that the plan has to make in all) and waits for all of them; an interrupt
// is passed on. Returns the largest of their exit codes. Throws RunError if one cannot be started.
// `ranks`: that each of them starts in turn; their GPUs are counted on from one worker to the next.
int run_workers(int64_t count, const std::vector<std::string>& arguments, int64_t steps, int64_t ranks = 1);

}  // namespace attnlab
