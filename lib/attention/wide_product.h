// Products of half-precision factors whose sums are not rounded back.
#pragma once

#include <torch/version.h>

#include "tensor/torch.h"

namespace attnlab {

// From torch 2.9 on, products of half-precision factors on a GPU can be float32.
#if TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 9
inline constexpr bool kProductsWiden = true;
#else
inline constexpr bool kProductsWiden = false;
#endif

// What `wide_product` gives: float32 for half-precision factors on a GPU where torch can, else their format.
inline torch::ScalarType product_type(const torch::Tensor& factor) {
  const bool widen = kProductsWiden && factor.is_cuda() && factor.element_size() == 2;
  return widen ? torch::kFloat32 : factor.scalar_type();
}

// out ← scale · a b, in out's format: that of the factors, or product_type of them.
inline void scaled_product(torch::Tensor out, const torch::Tensor& a, const torch::Tensor& b, double scale) {
#if TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 9
  if (out.scalar_type() != a.scalar_type()) {
    at::baddbmm_out(out, out, a, b, out.scalar_type(), 0, scale);
    return;
  }
#endif
  at::baddbmm_out(out, out, a, b, 0, scale);
}

// a b of batches [b, m, k] and [b, k, n].
inline torch::Tensor wide_product(const torch::Tensor& a, const torch::Tensor& b, double scale = 1) {
  if (product_type(a) == a.scalar_type()) return scale == 1 ? torch::bmm(a, b) : torch::bmm(a * scale, b);
  const auto out = torch::empty({a.size(0), a.size(1), b.size(2)}, a.options().dtype(product_type(a)));
  scaled_product(out, a, b, scale);
  return out;
}

}  // namespace attnlab
