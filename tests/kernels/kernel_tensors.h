// Tensors as kernels take them.
#pragma once

#include <utility>
#include <vector>

#include "kernels/wkv_layout.h"
#include "tensor/torch.h"

namespace attnlab::test {

using Named = std::vector<std::pair<const char*, torch::Tensor>>;

inline cuda::HeadsView view_of(const torch::Tensor& x) { return {x.stride(0), x.stride(1), x.stride(2)}; }
inline cuda::Format format_of_heads(const torch::Tensor& x) {
  return x.scalar_type() == torch::kBFloat16 ? cuda::Format::bfloat16 : cuda::Format::float32;
}
// Of an undefined tensor: none.
inline cuda::HeadsIn read_heads(const torch::Tensor& x) {
  return x.defined() ? cuda::HeadsIn{x.const_data_ptr(), format_of_heads(x), view_of(x)} : cuda::HeadsIn{};
}
inline cuda::HeadsOut write_heads(const torch::Tensor& x) {
  return x.defined() ? cuda::HeadsOut{x.data_ptr(), format_of_heads(x), view_of(x)} : cuda::HeadsOut{};
}
inline float* floats(const torch::Tensor& x) { return x.defined() ? x.data_ptr<float>() : nullptr; }

}  // namespace attnlab::test
