#pragma once

#include "tensor/torch.h"

namespace attnlab {

// Bytes of a GPU's memory, used or not; 0 for a CPU, and in builds without CUDA.
int64_t total_memory(torch::Device device);

}  // namespace attnlab
