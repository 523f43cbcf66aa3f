// What ends all ranks together.
#pragma once

#include <functional>
#include <string>

namespace attnlab {

// The line that tells of a fault: "rank 3 (node2): killed by signal 9".
std::string fault_line(int64_t rank, const std::string& host, const std::string& cause);

// Ends this process, from whichever thread. `tell`: the line is to be printed, which one process of a world
// does.
using FaultAction = std::function<void(const std::string& line, bool tell)>;

}  // namespace attnlab
