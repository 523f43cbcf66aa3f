#include <type_traits>

#include "kernels/cuda_kernels.h"
#include "kernels/rwkv_heads.cuh"

namespace attnlab::cuda {
namespace {

// launch(type, sizes, blocks).
template <class Launch>
cudaError_t over_heads(Format format, const HeadRows& z, const Launch& launch) {
  const heads::Sizes sizes{1, z.rows, z.C, kHeadsRun, head_runs(z.rows), 0};
  const int64_t threads = z.C / heads::kPack * sizes.runs;
  if (threads == 0) return cudaSuccess;
  const auto blocks = static_cast<unsigned>((threads + heads::kThreads - 1) / heads::kThreads);
  with_type(format, [&](auto* type) { launch(type, sizes, blocks); });
  return cudaGetLastError();
}

template <class T>
heads::Keys<T> keys_of(const Wkv7Keys& in) {
  return {static_cast<const T*>(in.k), static_cast<const T*>(in.w), static_cast<const T*>(in.a), in.vectors};
}

template <class T>
heads::Outputs<T> outputs_of(const RwkvOutputs& in) {
  return {in.o,
          in.k,
          static_cast<const T*>(in.r),
          static_cast<const T*>(in.v),
          static_cast<const T*>(in.gate),
          in.vectors,
          in.eps};
}
template <class T>
heads::OutputGradients<T> gradients_of(const RwkvOutputGradients& d) {
  return {d.o, d.k, static_cast<T*>(d.r), static_cast<T*>(d.v), static_cast<T*>(d.gate)};
}

}  // namespace

cudaError_t prepare_wkv7(Format format, const HeadRows& z, const Wkv7Keys& in, const Wkv7Prepared& out,
                         cudaStream_t stream) {
  return over_heads(format, z, [&](auto* type, const heads::Sizes& sizes, unsigned blocks) {
    using T = std::remove_pointer_t<decltype(type)>;
    heads::prepare<T><<<blocks, heads::kThreads, 0, stream>>>(sizes, keys_of<T>(in), out);
  });
}

cudaError_t prepare_wkv7_backward(Format format, const HeadRows& z, const Wkv7Keys& in, const Wkv7Prepared& d,
                                  const Wkv7KeyGradients& out, float* partial, cudaStream_t stream) {
  return over_heads(format, z, [&](auto* type, const heads::Sizes& sizes, unsigned blocks) {
    using T = std::remove_pointer_t<decltype(type)>;
    heads::prepare_backward<T>
        <<<blocks, heads::kThreads, 0, stream>>>(sizes, keys_of<T>(in), d, static_cast<T*>(out.k),
                                                 static_cast<T*>(out.w), static_cast<T*>(out.a), partial);
  });
}

cudaError_t rwkv6_decay(Format format, const HeadRows& z, const void* lora, const float* w0, float* w,
                        cudaStream_t stream) {
  return over_heads(format, z, [&](auto* type, const heads::Sizes& sizes, unsigned blocks) {
    using T = std::remove_pointer_t<decltype(type)>;
    heads::decay<T><<<blocks, heads::kThreads, 0, stream>>>(sizes, static_cast<const T*>(lora), w0, w);
  });
}

cudaError_t rwkv6_decay_backward(Format format, const HeadRows& z, const void* lora, const float* w0,
                                 const float* dw, void* dlora, float* partial, cudaStream_t stream) {
  return over_heads(format, z, [&](auto* type, const heads::Sizes& sizes, unsigned blocks) {
    using T = std::remove_pointer_t<decltype(type)>;
    heads::decay_backward<T><<<blocks, heads::kThreads, 0, stream>>>(sizes, static_cast<const T*>(lora), w0, dw,
                                                                     static_cast<T*>(dlora), partial);
  });
}

cudaError_t rwkv_output(Format format, const HeadRows& z, const RwkvOutputs& in, void* y, cudaStream_t stream) {
  return over_heads(format, z, [&](auto* type, const heads::Sizes& sizes, unsigned blocks) {
    using T = std::remove_pointer_t<decltype(type)>;
    const auto launch = in.r ? heads::output<true, T> : heads::output<false, T>;
    launch<<<blocks, heads::kThreads, 0, stream>>>(sizes, outputs_of<T>(in), static_cast<T*>(y));
  });
}

cudaError_t rwkv_output_backward(Format format, const HeadRows& z, const RwkvOutputs& in, const void* dy,
                                 const RwkvOutputGradients& d, float* partial, cudaStream_t stream) {
  return over_heads(format, z, [&](auto* type, const heads::Sizes& sizes, unsigned blocks) {
    using T = std::remove_pointer_t<decltype(type)>;
    const auto launch = in.r ? heads::output_backward<true, T> : heads::output_backward<false, T>;
    launch<<<blocks, heads::kThreads, 0, stream>>>(sizes, outputs_of<T>(in), static_cast<const T*>(dy),
                                                   gradients_of<T>(d), partial);
  });
}

}  // namespace attnlab::cuda
