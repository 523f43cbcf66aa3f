// What the wrappers of CUDA kernels share.
#pragma once

#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include "kernels/cuda_kernels.h"
#include "kernels/tensor_views.h"
#include "tensor/torch.h"

namespace attnlab {

inline cudaStream_t stream_of(const torch::Tensor& tensor) {
  return at::cuda::getCurrentCUDAStream(tensor.device().index());
}

}  // namespace attnlab
