#include "kernels/cuda_kernels.h"
#include "kernels/few_rows.cuh"

namespace attnlab::cuda {
namespace {

template <int tiles, int columns, int depth>
cudaError_t launch(const FewRowsLayout& layout, const few_rows::Pointers& at, cudaStream_t stream) {
  auto* kernel = few_rows::product<tiles, columns, depth>;
  constexpr int bytes = few_rows::kSharedBytes<tiles, columns>;
  if (const auto error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
      error != cudaSuccess)
    return error;
  kernel<<<static_cast<unsigned>(layout.groups), few_rows::kThreads, bytes, stream>>>(layout, at);
  return cudaGetLastError();
}

}  // namespace

cudaError_t few_rows_product(const FewRowsLayout& l, const FewRowsPointers& in, void* y, cudaStream_t stream) {
  constexpr int pack = 8;
  if (l.M < 1 || l.M > few_rows::kMostRows || l.N < 1 || l.K < 1 || l.K % pack != 0 || l.x_row % pack != 0 ||
      l.w_row % pack != 0 || l.groups < 1 || l.groups > l.N)
    return cudaErrorInvalidValue;
  const few_rows::Pointers at{static_cast<const __nv_bfloat16*>(in.x), static_cast<const __nv_bfloat16*>(in.w),
                              static_cast<const __nv_bfloat16*>(in.bias), static_cast<__nv_bfloat16*>(y)};
  return few_rows::with_sizes(l, [&](auto tiles, auto columns, auto depth) {
    return launch<tiles(), columns(), depth()>(l, at, stream);
  });
}

}  // namespace attnlab::cuda
