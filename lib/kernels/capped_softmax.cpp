#include "kernels/capped_softmax.h"

#include <cmath>

#include "kernels/fused.h"

#ifdef ATTNLAB_CUDA
#include "kernels/launch.h"
#endif

namespace attnlab {
namespace {

using torch::Tensor;

// [b, n·t, K] → [B, G, n, t, K], a view.
Tensor by_queries(const Tensor& x_bRK, const CappedScores& of) {
  return x_bRK.unflatten(1, {-1, of.t}).unflatten(0, {of.B, -1});
}

struct Parts {
  Tensor tanh_bRK, weights_bRK;
};
Parts parts_of(const CappedScores& of) {
  const auto tanh_bRK = torch::tanh(of.scores_bRK);
  const auto capped_bRK = tanh_bRK * of.cap;
  if (of.hidden.defined()) {
    const int64_t last = of.hidden.size(-1);
    by_queries(capped_bRK, of).narrow(-1, capped_bRK.size(2) - last, last).masked_fill_(of.hidden, -INFINITY);
  }
  return {tanh_bRK, torch::softmax(capped_bRK, -1)};
}

#ifdef ATTNLAB_CUDA

bool in_one_kernel(const CappedScores& of, torch::ScalarType format) {
  return has_kernels(of.scores_bRK) && of.scores_bRK.scalar_type() == torch::kFloat32 &&
         (format == torch::kFloat32 || format == torch::kBFloat16);
}

cuda::CappedRows rows_of(const CappedScores& of, const Tensor& hidden_BGntK) {
  const auto view = by_queries(of.scores_bRK, of);
  cuda::CappedRows rows{.rows = of.scores_bRK.size(0) * of.scores_bRK.size(1),
                        .K = view.size(4),
                        .G = view.size(1),
                        .n = view.size(2),
                        .t = of.t,
                        .cap = static_cast<float>(of.cap),
                        .hidden = nullptr,
                        .last = 0,
                        .stride_B = 0,
                        .stride_G = 0,
                        .stride_n = 0,
                        .stride_t = 0,
                        .stride_key = 0};
  if (!hidden_BGntK.defined()) return rows;
  rows.hidden = hidden_BGntK.const_data_ptr<bool>();
  rows.last = hidden_BGntK.size(4);
  const auto strides = hidden_BGntK.strides();
  rows.stride_B = strides[0], rows.stride_G = strides[1], rows.stride_n = strides[2];
  rows.stride_t = strides[3], rows.stride_key = strides[4];
  return rows;
}

// dweights undefined: without gradients.
std::pair<Tensor, Tensor> by_kernel(const CappedScores& of, const Tensor& dweights, torch::ScalarType format) {
  const c10::cuda::CUDAGuard guard(of.scores_bRK.device());
  TORCH_CHECK(of.scores_bRK.is_contiguous() && (!dweights.defined() || dweights.is_contiguous()));
  Tensor hidden;
  if (of.hidden.defined()) {
    auto sizes = by_queries(of.scores_bRK, of).sizes().vec();
    sizes.back() = of.hidden.size(-1);
    hidden = of.hidden.expand(sizes);
  }
  auto weights = torch::empty_like(of.scores_bRK, of.scores_bRK.options().dtype(format));
  auto dscores = dweights.defined() ? torch::empty_like(weights) : Tensor();
  C10_CUDA_CHECK(
      cuda::capped_softmax(format_of(weights), rows_of(of, hidden), of.scores_bRK.const_data_ptr<float>(),
                           dweights.defined() ? dweights.const_data_ptr<float>() : nullptr, weights.data_ptr(),
                           dscores.defined() ? dscores.data_ptr() : nullptr, stream_of(weights)));
  return {weights, dscores};
}

#endif

}  // namespace

Tensor capped_weights(const CappedScores& of, torch::ScalarType format) {
#ifdef ATTNLAB_CUDA
  if (in_one_kernel(of, format)) return by_kernel(of, {}, format).first;
#endif
  return parts_of(of).weights_bRK.to(format);
}

std::pair<Tensor, Tensor> capped_gradients(const CappedScores& of, const Tensor& dweights,
                                           torch::ScalarType format) {
#ifdef ATTNLAB_CUDA
  if (in_one_kernel(of, format)) return by_kernel(of, dweights, format);
#endif
  const auto [tanh_bRK, weights_bRK] = parts_of(of);
  const auto dcapped = at::_softmax_backward_data(dweights, weights_bRK, -1, weights_bRK.scalar_type());
  return {weights_bRK.to(format), at::tanh_backward(dcapped, tanh_bRK).to(format)};
}

}  // namespace attnlab
