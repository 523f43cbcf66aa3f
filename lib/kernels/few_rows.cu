#include "kernels/cuda_kernels.h"
#include "kernels/few_rows.cuh"

namespace attnlab::cuda {
namespace {

template <int tiles, int columns, int depth, bool split>
cudaError_t launch(const FewRowsLayout& layout, const few_rows::Pointers& at, cudaStream_t stream) {
  auto* kernel = few_rows::product<tiles, columns, depth, split>;
  constexpr int bytes = few_rows::kSharedBytes<tiles, columns>;
  if (const auto error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
      error != cudaSuccess)
    return error;
  cudaLaunchAttribute attributes[2] = {};
  unsigned n = 0;
  if (split) {
    attributes[n].id = cudaLaunchAttributeClusterDimension;
    attributes[n++].val.clusterDim = {static_cast<unsigned>(layout.split), 1, 1};
  }
  if (layout.early) {
    attributes[n].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[n++].val.programmaticStreamSerializationAllowed = 1;
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(layout.groups * layout.split));
  config.blockDim = dim3(few_rows::kThreads);
  config.dynamicSmemBytes = bytes;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = n;
  return cudaLaunchKernelEx(&config, kernel, layout, at);
}

}  // namespace

cudaError_t few_rows_product(const FewRowsLayout& l, const FewRowsPointers& in, void* y, cudaStream_t stream) {
  constexpr int pack = 8;
  if (l.M < 1 || l.M > few_rows::kMostRows || l.N < 1 || l.K < 1 || l.K % pack != 0 || l.x_row % pack != 0 ||
      l.w_row % pack != 0 || l.groups < 1 || l.groups > l.N || l.split < 1)
    return cudaErrorInvalidValue;
  const few_rows::Pointers at{static_cast<const __nv_bfloat16*>(in.x), static_cast<const __nv_bfloat16*>(in.w),
                              static_cast<const __nv_bfloat16*>(in.bias), static_cast<__nv_bfloat16*>(y)};
  return few_rows::with_sizes(l, [&](auto tiles, auto columns, auto depth) {
    return l.split > 1 ? launch<tiles(), columns(), depth(), true>(l, at, stream)
                       : launch<tiles(), columns(), depth(), false>(l, at, stream);
  });
}

}  // namespace attnlab::cuda
