#include <type_traits>

#include "kernels/cuda_kernels.h"
#include "kernels/short_conv.cuh"

namespace attnlab::cuda {
namespace {

conv::Sizes sizes_of(const ShortConv& z) { return {z.B, z.T, z.C, kConvRun, short_conv_runs(z.T), z.begins_b}; }

// launch(type, K, blocks).
template <class Launch>
cudaError_t over_channels(Format format, const ShortConv& z, const Launch& launch) {
  const int64_t threads = z.C / conv::kPack * z.B * short_conv_runs(z.T);
  const auto blocks = static_cast<unsigned>((threads + conv::kThreads - 1) / conv::kThreads);
  with_type(format, [&](auto* type) {
    if (z.K == 2) launch(type, std::integral_constant<int, 2>{}, blocks);
    if (z.K == 3) launch(type, std::integral_constant<int, 3>{}, blocks);
    if (z.K == 4) launch(type, std::integral_constant<int, 4>{}, blocks);
  });
  return cudaGetLastError();
}

}  // namespace

cudaError_t short_conv(Format format, const ShortConv& z, const void* x, const float* w, const float* bias,
                       const bool* begins, float* y, cudaStream_t stream) {
  return over_channels(format, z, [&](auto* type, auto K, unsigned blocks) {
    using T = std::remove_pointer_t<decltype(type)>;
    conv::forward<K, T>
        <<<blocks, conv::kThreads, 0, stream>>>(sizes_of(z), static_cast<const T*>(x), w, bias, begins, y);
  });
}

cudaError_t short_conv_backward(Format format, const ShortConv& z, const void* x, const float* w,
                                const float* dy, const bool* begins, void* dx, float* partial,
                                cudaStream_t stream) {
  return over_channels(format, z, [&](auto* type, auto K, unsigned blocks) {
    using T = std::remove_pointer_t<decltype(type)>;
    conv::backward_inputs<K, T>
        <<<blocks, conv::kThreads, 0, stream>>>(sizes_of(z), w, dy, begins, static_cast<T*>(dx));
    conv::backward_weights<K, T>
        <<<blocks, conv::kThreads, 0, stream>>>(sizes_of(z), static_cast<const T*>(x), dy, begins, partial);
  });
}

}  // namespace attnlab::cuda
