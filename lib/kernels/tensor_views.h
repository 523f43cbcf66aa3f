// What a kernel is told of a tensor. Without CUDA, so that sources of kernels can be run on CPUs, too.
#pragma once

#include <cstdint>

#include "kernels/wkv_layout.h"
#include "tensor/torch.h"

namespace attnlab {

inline cuda::Format format_of(const torch::Tensor& tensor) {
  return tensor.scalar_type() == torch::kBFloat16 ? cuda::Format::bfloat16 : cuda::Format::float32;
}

inline cuda::HeadsView strides_of(const torch::Tensor& x_BNTH) {
  return {x_BNTH.stride(0), x_BNTH.stride(1), x_BNTH.stride(2)};
}

constexpr uint64_t kPackBytes = 16;  // of the widest access

// Whether the first number stands at a multiple of so many bytes.
inline bool starts_at(const torch::Tensor& tensor, uint64_t bytes = kPackBytes) {
  return reinterpret_cast<uint64_t>(tensor.const_data_ptr()) % bytes == 0;
}

}  // namespace attnlab
