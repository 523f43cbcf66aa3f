#include <type_traits>

#include "kernels/cuda_kernels.h"
#include "kernels/latent_step.cuh"

namespace attnlab::cuda {

cudaError_t latent_step(Format format, Format tables, const LatentStepLayout& layout,
                        const LatentStepPointers& at, cudaStream_t stream) {
  if (layout.B == 0) return cudaSuccess;
  const auto blocks = static_cast<unsigned>(layout.B * (1 + blocks_for_queries(layout, token_step::kThreads)));
  with_type(format, [&](auto* type) {
    with_type(tables, [&](auto* table_type) {
      using T = std::remove_pointer_t<decltype(type)>;
      using Table = std::remove_pointer_t<decltype(table_type)>;
      token_step::forward<T, Table><<<blocks, token_step::kThreads, 0, stream>>>(
          layout, static_cast<const T*>(at.q), static_cast<const T*>(at.kv), static_cast<const T*>(at.weight),
          static_cast<const Table*>(at.cos), static_cast<const Table*>(at.sin), static_cast<T*>(at.q_out),
          static_cast<T*>(at.out));
    });
  });
  return cudaGetLastError();
}

}  // namespace attnlab::cuda
