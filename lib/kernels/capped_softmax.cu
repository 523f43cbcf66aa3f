#include <type_traits>

#include "kernels/capped_softmax.cuh"
#include "kernels/cuda_kernels.h"

namespace attnlab::cuda {

cudaError_t capped_softmax(Format format, const CappedRows& rows, const float* scores, const float* dweights,
                           void* weights, void* dscores, cudaStream_t stream) {
  if (rows.rows == 0) return cudaSuccess;
  constexpr int64_t of_block = capped::kThreads / capped::kWarp;
  const auto blocks = static_cast<unsigned>((rows.rows + of_block - 1) / of_block);
  with_type(format, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    capped::weights<T><<<blocks, capped::kThreads, 0, stream>>>(
        rows, scores, dweights, static_cast<T*>(weights), static_cast<T*>(dscores));
  });
  return cudaGetLastError();
}

}  // namespace attnlab::cuda
