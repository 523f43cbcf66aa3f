#include "kernels/packed.h"

#ifdef ATTNLAB_CUDA
#include <algorithm>

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
  const auto lies_there = [](const Tensor& x) { return x.is_cuda() && x.is_contiguous(); };
  constexpr int64_t word = 32;
  return lies_there(p.qweight) && lies_there(p.qzeros) && lies_there(p.scales) && lies_there(p.g_idx) &&
         (!p.order.defined() || lies_there(p.order)) && starts_at(p.qweight) &&
         p.scales.scalar_type() == torch::kHalf && p.g_idx.size(0) % word == 0 &&
         p.scales.size(1) % word == 0 && at::cuda::getDeviceProperties(p.qweight.device().index())->major >= 8;
}

namespace {

bool wants_gradient(const Tensor& x) {
  return torch::GradMode::is_enabled() && x.defined() && x.requires_grad();
}

bool is_few(const Tensor& x) {
  const bool half = x.scalar_type() == torch::kBFloat16 || x.scalar_type() == torch::kHalf;
  return half && x.is_cuda() && !wants_gradient(x) && x.numel() > 0 && rows_of(x) <= cuda::kMostPackedRows;
}

bool bias_fits(const Tensor& bias, const Tensor& x) {
  return !bias.defined() || (bias.scalar_type() == x.scalar_type() && bias.device() == x.device() &&
                             bias.is_contiguous() && !wants_gradient(bias));
}

bool are_packed_alike(const PackedTensors& a, const PackedTensors& b) {
  return a.bits == b.bits && a.group == b.group && a.zero_offset == b.zero_offset &&
         a.g_idx.size(0) == b.g_idx.size(0) && a.order.is_same(b.order);
}

Tensor side_by_side(const Tensor& x) {
  const auto in = x.contiguous();
  return starts_at(in) ? in : in.clone();
}

Tensor room_for(const Tensor& x, int64_t out) {
  auto sizes = x.sizes().vec();
  sizes.back() = out;
  return torch::empty(sizes, x.options());
}

}  // namespace

bool fits_multiply_packed(const Tensor& x, const PackedTensors& p) {
  return is_few(x) && has_packed_kernels(p);
}

bool fit_multiply_packed(const Tensor& x, const std::vector<PackedFactor>& factors) {
  if (factors.empty() || factors.size() > cuda::kMostPackedFactors || !is_few(x)) return false;
  const auto& first = factors.front().packed;
  if (factors.size() > 1 && first.group == 0) return false;  // each has groups of its own
  return std::all_of(factors.begin(), factors.end(), [&](const PackedFactor& f) {
    return has_packed_kernels(f.packed) && are_packed_alike(f.packed, first) && bias_fits(f.bias, x);
  });
}

Tensor multiply_packed(const Tensor& x, const std::vector<PackedFactor>& factors) {
  TORCH_CHECK(fit_multiply_packed(x, factors) && x.size(-1) == factors.front().packed.g_idx.size(0));
  const c10::cuda::CUDAGuard guard(x.device());
  auto shared = factors.front().packed;
  const auto layout = layout_of(shared, rows_of(x));
  const bool sorted = shared.order.defined(), fill = cuda::groups_fill_steps(layout);
  const bool gathered = sorted && fill && layout.rows == 1;  // by the kernel
  const auto in = sorted && !gathered ? x.index_select(-1, shared.order) : side_by_side(x);
  if (sorted && !fill) shared.g_idx = shared.g_idx.index_select(0, shared.order);
  if (!gathered) shared.order = Tensor();
  int64_t width = 0;
  std::vector<cuda::PackedFactor> parts;
  for (const auto& [packed, bias] : factors) {
    const int64_t out = packed.scales.size(1);
    parts.push_back(
        {pointers_of(packed), bias.defined() ? bias.const_data_ptr() : nullptr, static_cast<int>(out)});
    width += out;
  }
  parts.front().pointers = pointers_of(shared);
  auto y = room_for(x, width);
  const int multiprocessors = at::cuda::getDeviceProperties(x.device().index())->multiProcessorCount;
  C10_CUDA_CHECK(cuda::packed_products(numbers_of(x.scalar_type()), layout, in.const_data_ptr(), parts.data(),
                                       static_cast<int>(parts.size()), y.data_ptr(), multiprocessors,
                                       stream_of(x)));
  return y;
}

Tensor multiply_packed(const Tensor& x, const PackedTensors& p, const Tensor& bias) {
  TORCH_CHECK(fits_multiply_packed(x, p));
  if (bias_fits(bias, x)) return multiply_packed(x, std::vector<PackedFactor>{{p, bias}});
  return multiply_packed(x, std::vector<PackedFactor>{{p}}) + bias.to(x.scalar_type());
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
bool fit_multiply_packed(const torch::Tensor&, const std::vector<PackedFactor>&) { return false; }

torch::Tensor multiply_packed(const torch::Tensor&, const PackedTensors&, const torch::Tensor&) {
  TORCH_CHECK(false, "built without CUDA kernels");
}

torch::Tensor multiply_packed(const torch::Tensor&, const std::vector<PackedFactor>&) {
  TORCH_CHECK(false, "built without CUDA kernels");
}

torch::Tensor dequantise_packed(const PackedTensors&, torch::ScalarType) {
  TORCH_CHECK(false, "built without CUDA kernels");
}

#endif

}  // namespace attnlab
