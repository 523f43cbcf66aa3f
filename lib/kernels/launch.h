// What the wrappers of CUDA kernels share.
#pragma once

#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include "kernels/cuda_kernels.h"
#include "tensor/torch.h"

namespace attnlab {

inline cuda::Format format_of(const torch::Tensor& tensor) {
  return tensor.scalar_type() == torch::kBFloat16 ? cuda::Format::bfloat16 : cuda::Format::float32;
}

inline cudaStream_t stream_of(const torch::Tensor& tensor) {
  return at::cuda::getCurrentCUDAStream(tensor.device().index());
}

inline cuda::HeadsView strides_of(const torch::Tensor& x_BNTH) {
  return {x_BNTH.stride(0), x_BNTH.stride(1), x_BNTH.stride(2)};
}

}  // namespace attnlab
