#include <type_traits>

#include "kernels/cuda_kernels.h"
#include "kernels/paired_softmax.cuh"

namespace attnlab::cuda {
namespace {

// launch(numbers of a thread, blocks).
template <class Launch>
cudaError_t over_rows(int64_t rows, int64_t width, const Launch& launch) {
  if (rows == 0) return cudaSuccess;
  constexpr int64_t of_block = paired::kThreads / paired::kWarp;
  const auto blocks = static_cast<unsigned>((rows + of_block - 1) / of_block);
  if (width <= 2 * paired::kWarp)
    launch(std::integral_constant<int, 2>{}, blocks);
  else
    launch(std::integral_constant<int, kMostPairedWidth / paired::kWarp>{}, blocks);
  return cudaGetLastError();
}

}  // namespace

cudaError_t paired_softmax(const float* y, float* out, int64_t rows, int64_t width, float least,
                           cudaStream_t stream) {
  return over_rows(rows, width, [&](auto n, unsigned blocks) {
    paired::forward<n><<<blocks, paired::kThreads, 0, stream>>>(y, out, rows, static_cast<int>(width), least);
  });
}

cudaError_t paired_softmax_backward(const float* out, const float* dout, float* dy, int64_t rows, int64_t width,
                                    float least, cudaStream_t stream) {
  return over_rows(rows, width, [&](auto n, unsigned blocks) {
    paired::backward<n>
        <<<blocks, paired::kThreads, 0, stream>>>(out, dout, dy, rows, static_cast<int>(width), least);
  });
}

}  // namespace attnlab::cuda
