#include <type_traits>

#include "kernels/cuda_kernels.h"
#include "kernels/latent_heads.cuh"

namespace attnlab::cuda {
namespace {

// launch(pack, pointers) for the formats.
template <class Launch>
cudaError_t in_formats(Format format, Format tables, const LatentHeadsPointers& at, const Launch& launch) {
  with_type(format, [&](auto* type) {
    with_type(tables, [&](auto* table_type) {
      using T = std::remove_pointer_t<decltype(type)>;
      using Table = std::remove_pointer_t<decltype(table_type)>;
      launch(std::integral_constant<int, 16 / sizeof(T)>{}, latent_heads::typed<T, Table>(at));
    });
  });
  return cudaGetLastError();
}

unsigned blocks_for(int64_t threads) {
  return static_cast<unsigned>((threads + latent_heads::kThreads - 1) / latent_heads::kThreads);
}

template <int n, class T, class Table>
void launch_forward(unsigned blocks, const LatentHeadsLayout& z, const latent_heads::Pointers<T, Table>& at,
                    cudaStream_t stream) {
  latent_heads::forward<T, Table, n><<<blocks, latent_heads::kThreads, 0, stream>>>(z, at);
}
template <int n, class T, class Table>
void launch_backward(unsigned blocks, const LatentHeadsLayout& z, const latent_heads::Pointers<T, Table>& at,
                     cudaStream_t stream) {
  latent_heads::backward<T, Table, n><<<blocks, latent_heads::kThreads, 0, stream>>>(z, at);
}

}  // namespace

cudaError_t latent_heads_forward(Format format, Format tables, const LatentHeadsLayout& z,
                                 const LatentHeadsPointers& at, cudaStream_t stream) {
  if (z.B * z.T == 0) return cudaSuccess;
  return in_formats(format, tables, at, [&](auto n, const auto& pointers) {
    launch_forward<n>(blocks_for(z.B * z.T * forward_threads(z, n)), z, pointers, stream);
  });
}

cudaError_t latent_heads_backward(Format format, Format tables, const LatentHeadsLayout& z,
                                  const LatentHeadsPointers& at, cudaStream_t stream) {
  if (z.B * z.T == 0) return cudaSuccess;
  return in_formats(format, tables, at, [&](auto n, const auto& pointers) {
    launch_backward<n>(blocks_for(z.B * z.T * (turns_of(z, n) + backward_threads(z, n))), z, pointers, stream);
  });
}

}  // namespace attnlab::cuda
