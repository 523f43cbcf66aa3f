// What the benchmarks ask of a device: time, memory, its name. With CUDA's headers in the build (ATTNLAB_CUDA)
// of a GPU, too.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tensor/torch.h"

namespace attnlab {

// Milliseconds of each of `count` calls, sorted. The device is waited for around each.
std::vector<double> times_of(torch::Device device, int64_t count, const std::function<void()>& call);
double median(const std::vector<double>& sorted);

// On a GPU the step as one CUDA graph (made here, replayed by a call); elsewhere, without CUDA's headers in the
// build, or with `graph` false, the step itself.
std::function<void()> repeatable_step(std::function<void()> step, torch::Device device, bool graph);
// Microseconds of one of `count` calls in a row, which are such a step. They have been made once before.
double microseconds_in_a_row(torch::Device device, int64_t count, bool graph,
                             const std::function<void()>& calls);

struct DeviceMemory {
  double peak = 0;   // bytes of tensors since `restart_peak` (GPU), of the process (CPU)
  double total = 0;  // bytes that the device has; 0: not known
};
DeviceMemory device_memory(torch::Device device);
void restart_peak(torch::Device device);
// From here on a GPU's allocator takes at most so many bytes, those that it keeps for later included (0: all):
// what is beyond ends in c10::OutOfMemoryError. It stands for a smaller memory, not for another card. Elsewhere
// without effect.
void limit_memory(torch::Device device, double bytes);
// "NVIDIA H200", or "cpu, 8 threads".
std::string device_title(torch::Device device);

}  // namespace attnlab
