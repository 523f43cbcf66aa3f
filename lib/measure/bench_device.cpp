#include "measure/bench_device.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>

#ifdef ATTNLAB_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#endif

namespace attnlab {
namespace {

double process_peak() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

}  // namespace

std::vector<double> times_of(torch::Device device, int64_t count, const std::function<void()>& call) {
  const auto wait = [&] {
    if (device.is_cuda()) torch::cuda::synchronize(device.index());
  };
  std::vector<double> times;
  for (int64_t i = 0; i < count; ++i) {
    wait();
    const auto start = std::chrono::steady_clock::now();
    call();
    wait();
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  return times;
}

double median(const std::vector<double>& sorted) { return sorted[sorted.size() / 2]; }

#ifdef ATTNLAB_CUDA

namespace {

void capture(at::cuda::CUDAGraph& graph, torch::Device device, const std::function<void()>& step) {
  const c10::cuda::CUDAStreamGuard guard(at::cuda::getStreamFromPool(false, device.index()));
  for (int i = 0; i < 3; ++i) step();
  at::cuda::getCurrentCUDAStream(device.index()).synchronize();
  c10::cuda::CUDACachingAllocator::emptyCache();  // nothing is given back while a graph is captured
  graph.capture_begin();
  try {
    step();
  } catch (...) {
    graph.capture_end();
    throw;
  }
  graph.capture_end();
}

}  // namespace

// A graph cannot be captured on the default stream. The steps before it let the libraries choose their kernels
// and take their memory. What they read was made on the default stream, and what they were given is freed there
// if memory does not suffice: each waits for the other.
std::function<void()> repeatable_step(std::function<void()> step, torch::Device device, bool graph) {
  if (!device.is_cuda() || !graph) return step;
  const auto captured = std::make_shared<at::cuda::CUDAGraph>();
  torch::cuda::synchronize(device.index());
  try {
    capture(*captured, device, step);
  } catch (const c10::OutOfMemoryError&) {
    torch::cuda::synchronize(device.index());
    throw;
  }
  return [step = std::move(step), captured] { captured->replay(); };
}

namespace {

// Of a device that may be "cuda", before anything lay on it: the allocator knows no device until then.
c10::DeviceIndex started_index(torch::Device device) {
  at::globalContext().lazyInitDevice(torch::kCUDA);
  return device.has_index() ? device.index() : c10::cuda::current_device();
}

}  // namespace

DeviceMemory device_memory(torch::Device device) {
  if (!device.is_cuda()) return {.peak = process_peak()};
  const auto index = started_index(device);
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(index);
  return {.peak = static_cast<double>(stats.allocated_bytes[0].peak),
          .total = static_cast<double>(at::cuda::getDeviceProperties(index)->totalGlobalMem)};
}

void restart_peak(torch::Device device) {
  if (!device.is_cuda()) return;
  c10::cuda::CUDACachingAllocator::emptyCache();
  c10::cuda::CUDACachingAllocator::resetPeakStats(started_index(device));
}

void limit_memory(torch::Device device, double bytes) {
  if (!device.is_cuda()) return;
  const double share = bytes > 0 ? std::min(1.0, bytes / device_memory(device).total) : 1;
  c10::cuda::CUDACachingAllocator::emptyCache();
  c10::cuda::CUDACachingAllocator::setMemoryFraction(share, started_index(device));
}

std::string device_title(torch::Device device) {
  if (device.is_cuda()) return at::cuda::getDeviceProperties(device.index())->name;
  return fmt::format("cpu, {} threads", at::get_num_threads());
}

#else

std::function<void()> repeatable_step(std::function<void()> step, torch::Device, bool) { return step; }
DeviceMemory device_memory(torch::Device device) { return {.peak = device.is_cpu() ? process_peak() : 0}; }
void restart_peak(torch::Device) {}
void limit_memory(torch::Device, double) {}
std::string device_title(torch::Device device) {
  return device.is_cpu() ? fmt::format("cpu, {} threads", at::get_num_threads()) : device.str();
}

#endif

double microseconds_in_a_row(torch::Device device, int64_t count, bool graph,
                             const std::function<void()>& calls) {
  const auto step = repeatable_step(calls, device, graph);
  times_of(device, 2, step);
  return 1000 * median(times_of(device, 7, step)) / static_cast<double>(count);
}

}  // namespace attnlab
