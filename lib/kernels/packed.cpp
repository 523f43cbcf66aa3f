#include "kernels/packed.h"

#ifdef ATTNLAB_CUDA
#include "kernels/launch.h"
#endif

namespace attnlab {

#ifdef ATTNLAB_CUDA
namespace {

using torch::Tensor;

cuda::PackedNumbers numbers_of(torch::ScalarType dtype) {
  if (dtype == torch::kBFloat16) return cuda::PackedNumbers::bfloat16;
  return dtype == torch::kHalf ? cuda::PackedNumbers::float16 : cuda::PackedNumbers::float32;
}

cuda::PackedPointers pointers_of(const PackedTensors& p) {
  return {p.qweight.const_data_ptr(), p.qzeros.const_data_ptr(), p.scales.const_data_ptr(),
          p.g_idx.const_data_ptr(), p.order.defined() ? p.order.const_data_ptr() : nullptr};
}

cuda::PackedLayout layout_of(const PackedTensors& p, int64_t rows) {
  return {.rows = static_cast<int>(rows),
          .in = static_cast<int>(p.g_idx.size(0)),
          .out = static_cast<int>(p.scales.size(1)),
          .bits = static_cast<int>(p.bits),
          .group = static_cast<int>(p.group),
          .zero_offset = static_cast<uint32_t>(p.zero_offset)};
}

int64_t rows_of(const Tensor& x) { return x.numel() / std::max<int64_t>(x.size(-1), 1); }

}  // namespace

bool has_packed_kernels(const PackedTensors& p) {
  const auto side_by_side = [](const Tensor& x) { return x.is_cuda() && x.is_contiguous(); };
  constexpr int64_t word = 32;
  return side_by_side(p.qweight) && side_by_side(p.qzeros) && side_by_side(p.scales) && side_by_side(p.g_idx) &&
         (!p.order.defined() || (side_by_side(p.order) && side_by_side(p.place))) && starts_at(p.qweight) &&
         p.scales.scalar_type() == torch::kHalf && p.g_idx.size(0) % word == 0 &&
         p.scales.size(1) % word == 0 && at::cuda::getDeviceProperties(p.qweight.device().index())->major >= 8;
}

bool fits_multiply_packed(const Tensor& x, const PackedTensors& p) {
  const bool half = x.scalar_type() == torch::kBFloat16 || x.scalar_type() == torch::kHalf;
  const bool gradient = torch::GradMode::is_enabled() && x.requires_grad();
  return half && !gradient && x.numel() > 0 && rows_of(x) <= cuda::kMostPackedRows && x.is_cuda() &&
         has_packed_kernels(p);
}

Tensor multiply_packed(const Tensor& x, const PackedTensors& p) {
  TORCH_CHECK(fits_multiply_packed(x, p) && x.size(-1) == p.g_idx.size(0));
  const c10::cuda::CUDAGuard guard(x.device());
  auto in = p.order.defined() ? x.index_select(-1, p.order) : x.contiguous();
  if (!starts_at(in)) in = in.clone();
  auto sizes = x.sizes().vec();
  sizes.back() = p.scales.size(1);
  auto out = torch::empty(sizes, x.options());
  const int multiprocessors = at::cuda::getDeviceProperties(x.device().index())->multiProcessorCount;
  C10_CUDA_CHECK(cuda::packed_linear(numbers_of(x.scalar_type()), layout_of(p, rows_of(in)),
                                     in.const_data_ptr(), pointers_of(p), out.data_ptr(), multiprocessors,
                                     stream_of(x)));
  return out;
}

Tensor dequantise_packed(const PackedTensors& p, torch::ScalarType dtype) {
  TORCH_CHECK(has_packed_kernels(p) &&
              (dtype == torch::kFloat32 || dtype == torch::kBFloat16 || dtype == torch::kHalf));
  const c10::cuda::CUDAGuard guard(p.qweight.device());
  auto out = torch::empty({p.g_idx.size(0), p.scales.size(1)}, p.scales.options().dtype(dtype));
  C10_CUDA_CHECK(cuda::packed_dequantise(numbers_of(dtype), layout_of(p, 0), pointers_of(p), out.data_ptr(),
                                         stream_of(out)));
  return out;
}

#else

bool has_packed_kernels(const PackedTensors&) { return false; }
bool fits_multiply_packed(const torch::Tensor&, const PackedTensors&) { return false; }

torch::Tensor multiply_packed(const torch::Tensor&, const PackedTensors&) {
  TORCH_CHECK(false, "built without CUDA kernels");
}

torch::Tensor dequantise_packed(const PackedTensors&, torch::ScalarType) {
  TORCH_CHECK(false, "built without CUDA kernels");
}

#endif

}  // namespace attnlab
