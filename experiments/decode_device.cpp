// The part of decode_step.h that asks the device: with CUDA's headers in the build (ATTNLAB_CUDA) of a GPU,
// too.
#include <fmt/format.h>
#include <sys/resource.h>

#include "decode_step.h"

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

#ifdef ATTNLAB_CUDA

// A graph cannot be captured on the default stream. The steps before it let the libraries choose their kernels
// and take their memory.
std::function<void()> repeatable_step(const std::shared_ptr<DecodeStep>& step, torch::Device device,
                                      bool graph) {
  if (!device.is_cuda() || !graph) return [step] { (*step)(); };
  const auto captured = std::make_shared<at::cuda::CUDAGraph>();
  {
    const c10::cuda::CUDAStreamGuard guard(at::cuda::getStreamFromPool(false, device.index()));
    for (int i = 0; i < 3; ++i) (*step)();
    at::cuda::getCurrentCUDAStream(device.index()).synchronize();
    captured->capture_begin();
    (*step)();
    captured->capture_end();
  }
  return [step, captured] { captured->replay(); };
}

DeviceMemory device_memory(torch::Device device) {
  if (!device.is_cuda()) return {.peak = process_peak()};
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(device.index());
  return {.peak = static_cast<double>(stats.allocated_bytes[0].peak),
          .total = static_cast<double>(at::cuda::getDeviceProperties(device.index())->totalGlobalMem)};
}

void restart_peak(torch::Device device) {
  if (!device.is_cuda()) return;
  c10::cuda::CUDACachingAllocator::emptyCache();
  c10::cuda::CUDACachingAllocator::resetPeakStats(device.index());
}

std::string device_title(torch::Device device) {
  if (device.is_cuda()) return at::cuda::getDeviceProperties(device.index())->name;
  return fmt::format("cpu, {} threads", at::get_num_threads());
}

#else

std::function<void()> repeatable_step(const std::shared_ptr<DecodeStep>& step, torch::Device, bool) {
  return [step] { (*step)(); };
}
DeviceMemory device_memory(torch::Device device) { return {.peak = device.is_cpu() ? process_peak() : 0}; }
void restart_peak(torch::Device) {}
std::string device_title(torch::Device device) {
  return device.is_cpu() ? fmt::format("cpu, {} threads", at::get_num_threads()) : device.str();
}

#endif

}  // namespace attnlab
