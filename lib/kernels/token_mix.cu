#include <type_traits>

#include "kernels/cuda_kernels.h"
#include "kernels/token_mix.cuh"

namespace attnlab::cuda {
namespace {

// launch(type, number of mixes, blocks).
template <class Launch>
cudaError_t over_tokens(Format format, const TokenMix& z, const Launch& launch) {
  const int64_t threads = z.C / mix::kPack * z.B * token_mix_runs(z.T);
  if (threads == 0) return cudaSuccess;
  const auto blocks = static_cast<unsigned>((threads + mix::kThreads - 1) / mix::kThreads);
  with_type(format, [&](auto* type) {
    if (z.n == 1) launch(type, std::integral_constant<int, 1>{}, blocks);
    if (z.n == 5) launch(type, std::integral_constant<int, 5>{}, blocks);
    if (z.n == 6) launch(type, std::integral_constant<int, 6>{}, blocks);
  });
  return cudaGetLastError();
}

mix::Sizes sizes_of(const TokenMix& z) {
  return {z.B, z.T, z.C, kTokenMixRun, token_mix_runs(z.T), z.begins_b};
}

template <class T>
mix::Inputs<T> inputs_of(const TokenMixInputs& in) {
  return {static_cast<const T*>(in.x), in.mu, static_cast<const T*>(in.m), in.begins};
}

template <int n, class T, class Pointer>
mix::Each<n, T> each_of(Pointer const* pointers) {
  mix::Each<n, T> out;
  for (int y = 0; y < n; ++y) out.of[y] = static_cast<T*>(pointers[y]);
  return out;
}

}  // namespace

cudaError_t token_mix(Format format, const TokenMix& z, const TokenMixInputs& in, void* const* out,
                      cudaStream_t stream) {
  return over_tokens(format, z, [&](auto* type, auto n, unsigned blocks) {
    using T = std::remove_pointer_t<decltype(type)>;
    constexpr int kMixes = decltype(n)::value;
    mix::forward<kMixes, T>
        <<<blocks, mix::kThreads, 0, stream>>>(sizes_of(z), inputs_of<T>(in), each_of<kMixes, T>(out));
  });
}

cudaError_t token_mix_backward(Format format, const TokenMix& z, const TokenMixInputs& in,
                               const void* const* upstream, void* dx, void* dm, float* partial,
                               cudaStream_t stream) {
  return over_tokens(format, z, [&](auto* type, auto n, unsigned blocks) {
    using T = std::remove_pointer_t<decltype(type)>;
    constexpr int kMixes = decltype(n)::value;
    mix::backward<kMixes, T><<<blocks, mix::kThreads, 0, stream>>>(
        sizes_of(z), inputs_of<T>(in), each_of<kMixes, const T>(upstream), static_cast<T*>(dx),
        static_cast<T*>(dm), partial);
  });
}

}  // namespace attnlab::cuda
