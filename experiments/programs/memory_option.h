// --memory-limit SIZE: how much memory a benchmark may take.
#pragma once

#include <string>
#include <vector>

#include "torch_program.h"

namespace attnlab {

// A cap of --memory-limit: what it says in GiB, 0 for all, and the bytes that it stands for on a device.
struct MemoryCap {
  double gibibytes = 0, bytes = 0;
};
// Adds --memory-limit.
void add_memory_option(Program& program, std::vector<std::string>& limits);
// "24G", "1.5M" or "all". Throws InputError, also for all of a device whose memory is not known (a CPU) and for
// more than it has.
std::vector<MemoryCap> read_memory_caps(const std::vector<std::string>& limits, torch::Device device);

}  // namespace attnlab
