#include "kernels/cuda_kernels.h"
#include "kernels/wkv_scan.cuh"

namespace attnlab::cuda {
namespace {

template <bool delta>
cudaError_t backward(unsigned blocks, const WkvSizes& sizes, const WkvInputs& in, const WkvResults& results,
                     const WkvGradients& out, cudaStream_t stream) {
  wkv::columns_backward<delta><<<blocks, wkv::kThreads, 0, stream>>>(sizes, in, results, out);
  wkv::rows_forward<delta><<<blocks, wkv::kThreads, 0, stream>>>(sizes, in, results, out);
  wkv::rows_backward<delta><<<blocks, wkv::kThreads, 0, stream>>>(sizes, in, results, out);
  return cudaGetLastError();
}

unsigned blocks_of(const WkvSizes& z) { return static_cast<unsigned>(z.B * z.N * z.parts); }

}  // namespace

cudaError_t wkv_scan(const WkvSizes& sizes, const WkvInputs& in, const HeadsOut& o, const HeadsOut& u,
                     float* last, cudaStream_t stream) {
  if (in.delta)
    wkv::columns_forward<true><<<blocks_of(sizes), wkv::kThreads, 0, stream>>>(sizes, in, o, u, last);
  else
    wkv::columns_forward<false><<<blocks_of(sizes), wkv::kThreads, 0, stream>>>(sizes, in, o, u, last);
  return cudaGetLastError();
}

cudaError_t wkv_scan_backward(const WkvSizes& sizes, const WkvInputs& in, const WkvResults& results,
                              const WkvGradients& out, cudaStream_t stream) {
  const auto blocks = blocks_of(sizes);
  return in.delta ? backward<true>(blocks, sizes, in, results, out, stream)
                  : backward<false>(blocks, sizes, in, results, out, stream);
}

}  // namespace attnlab::cuda
