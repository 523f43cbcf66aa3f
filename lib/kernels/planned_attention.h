// Which of torch's attention kernels a device has.
#pragma once

#include "tensor/torch.h"

namespace attnlab {

// cuDNN's, with grouped heads and masks: from Hopper on.
bool has_cudnn_attention(torch::Device device);

}  // namespace attnlab
