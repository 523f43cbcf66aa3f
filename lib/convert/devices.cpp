#include "convert/devices.h"

#include <ATen/ThreadLocalState.h>
#include <c10/core/DeviceGuard.h>
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <thread>
#include <utility>

#include "core/errors.h"

namespace attnlab {
namespace {

[[noreturn]] void refuse(const std::string& found, const char* expected) {
  throw InputError(BadInput{.file = "--device", .found = found, .expected = expected});
}

void add_to(TensorMap& sums, const std::string& name, const torch::Tensor& part, torch::Device device) {
  auto& sum = sums[name];
  if (sum.defined())
    sum.add_(part.to(device));
  else
    sum = part.to(device);
}

}  // namespace

Devices::Devices(std::vector<torch::Device> several) : devices_(std::move(several)) {
  ATTNLAB_CHECK(!devices_.empty());
  if (devices_.size() == 1) return;
  for (auto& device : devices_)
    if (device.is_cuda() && !device.has_index()) device.set_index(0);
  for (const auto& device : devices_) {
    if (device.type() != devices_[0].type())
      refuse(fmt::format("{} beside {}", device.str(), devices_[0].str()), "devices of one kind");
    if (device.is_cuda() && std::count(devices_.begin(), devices_.end(), device) > 1)
      refuse(device.str() + " twice", "each GPU once");
  }
}

void Devices::at_once(size_t count, const std::function<void(size_t)>& work) const {
  ATTNLAB_CHECK(count <= size());
  std::vector<std::exception_ptr> failures(count);
  const auto guarded = [&](size_t device) {
    try {
      const c10::DeviceGuard here(devices_[device]);
      work(device);
    } catch (...) {
      failures[device] = std::current_exception();
    }
  };
  const at::ThreadLocalState state;
  std::vector<std::thread> threads;
  for (size_t device = 1; device < count; ++device)
    threads.emplace_back([&, device] {
      const at::ThreadLocalStateGuard as_caller(state);
      guarded(device);
    });
  if (count > 0) guarded(0);
  for (auto& thread : threads) thread.join();
  for (const auto& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

void Devices::each_batch(size_t batches, const std::function<void(size_t)>& visit) const {
  at_once(std::min(size(), batches), [&](size_t device) {
    for (size_t batch = device; batch < batches; batch += size()) visit(batch);
  });
}

TensorMap sum_in_order(const Devices& devices, size_t batches,
                       const std::function<void(size_t, const AddPart&)>& visit) {
  TensorMap sums;
  using Parts = std::vector<std::pair<std::string, torch::Tensor>>;
  for (size_t first = 0; first < batches; first += devices.size()) {
    std::vector<Parts> held(std::min(devices.size(), batches - first));
    devices.at_once(held.size(), [&](size_t device) {
      visit(first + device, [&](const std::string& name, const torch::Tensor& part) {
        if (device == 0)
          add_to(sums, name, part, devices.first());
        else
          held[device].emplace_back(name, part);
      });
    });
    for (const auto& parts : held)
      for (const auto& [name, part] : parts) add_to(sums, name, part, devices.first());
  }
  return sums;
}

TensorMap moved(const TensorMap& tensors, torch::Device device) {
  TensorMap there;
  for (const auto& [name, tensor] : tensors) there[name] = tensor.to(device);
  return there;
}

}  // namespace attnlab
