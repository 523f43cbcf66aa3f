#include "kernels/few_rows.h"

#ifdef ATTNLAB_CUDA
#include <ATen/autocast_mode.h>

#include <limits>

#include "kernels/launch.h"
#endif

namespace attnlab {

using torch::Tensor;

#ifdef ATTNLAB_CUDA
namespace {

constexpr int64_t kPack = 8;  // numbers of 16 bytes

bool is_plain(const Tensor& x, const Tensor& like) {
  return x.scalar_type() == torch::kBFloat16 && x.device() == like.device() && x.layout() == torch::kStrided;
}

// From one row of x [..., K] to the next, where it is the same between all and the kernel can read them; else
// 0.
int64_t distance_of_rows(const Tensor& x) {
  if (x.stride(-1) != 1 || !starts_at(x)) return 0;
  int64_t distance = 0, rows = 1;  // of the inner dimensions
  for (int64_t d = x.dim() - 2; d >= 0; --d) {
    if (x.size(d) == 1) continue;
    if (rows == 1) distance = x.stride(d);
    if (x.stride(d) != distance * rows) return 0;
    rows *= x.size(d);
  }
  if (rows == 1) return x.size(-1);
  return distance % kPack == 0 ? distance : 0;
}

bool weight_fits(const Tensor& weight) {
  constexpr int64_t most = std::numeric_limits<int32_t>::max() / 2;
  return weight.dim() == 2 && weight.size(0) > 0 && weight.size(0) < most && weight.size(1) < most &&
         weight.size(1) % kPack == 0 && weight.stride(1) == 1 && weight.stride(0) % kPack == 0 &&
         weight.stride(0) >= weight.size(1) && starts_at(weight);
}

// How a product is launched on this device.
cuda::FewRowsLayout layout_of(int64_t M, const Tensor& weight, const cudaDeviceProp& device) {
  auto layout = cuda::few_rows_layout(static_cast<int>(M), static_cast<int>(weight.size(0)),
                                      static_cast<int>(weight.size(1)), device.multiProcessorCount);
  layout.w_row = weight.stride(0);
  return layout;
}

}  // namespace

bool fits_few_rows(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  if (torch::GradMode::is_enabled() || !x.is_cuda() || !is_plain(x, x) || !is_plain(weight, x) ||
      !weight_fits(weight) || x.dim() == 0 || x.numel() == 0 ||
      x.numel() / x.size(-1) > cuda::few_rows::kMostRows)
    return false;
  if (bias.defined() &&
      (!is_plain(bias, x) || bias.sizes() != weight.sizes().slice(0, 1) || !bias.is_contiguous()))
    return false;
  return weight.size(1) == x.size(-1) && !at::autocast::is_autocast_enabled(torch::kCUDA) &&
         distance_of_rows(x) > 0 && at::cuda::getDeviceProperties(x.device().index())->major >= 8;
}

Tensor linear_of_rows(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  if (!fits_few_rows(x, weight, bias)) return torch::linear(x, weight, bias);
  const c10::cuda::CUDAGuard guard(x.device());
  auto layout = layout_of(x.numel() / x.size(-1), weight, *at::cuda::getDeviceProperties(x.device().index()));
  layout.x_row = distance_of_rows(x);
  auto sizes = x.sizes().vec();
  sizes.back() = weight.size(0);
  auto y = torch::empty(sizes, x.options());
  const cuda::FewRowsPointers in{x.const_data_ptr(), weight.const_data_ptr(),
                                 bias.defined() ? bias.const_data_ptr() : nullptr};
  C10_CUDA_CHECK(cuda::few_rows_product(layout, in, y.data_ptr(), stream_of(x)));
  return y;
}

#else

bool fits_few_rows(const Tensor&, const Tensor&, const Tensor&) { return false; }

Tensor linear_of_rows(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return torch::linear(x, weight, bias);
}

#endif

}  // namespace attnlab
