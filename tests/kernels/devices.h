// Where kernels are tested.
#pragma once

#include <vector>

#include "tensor/torch.h"

namespace attnlab::test {

// The CPU and, where there is one, a GPU.
inline std::vector<torch::Device> all_devices() {
  std::vector<torch::Device> devices{torch::kCPU};
  if (torch::cuda::is_available()) devices.emplace_back(torch::kCUDA);
  return devices;
}

}  // namespace attnlab::test
