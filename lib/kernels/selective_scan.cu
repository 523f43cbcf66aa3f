#include <type_traits>

#include "kernels/cuda_kernels.h"
#include "kernels/selective_scan.cuh"

namespace attnlab::cuda {
namespace {

using namespace selective;

template <class F, bool wants_y>
__global__ void __launch_bounds__(kThreads, 2) scan_forward(ScanSizes z, ScanInputs in, ScanResults out) {
  extern __shared__ __align__(16) char memory[];
  forward<F, wants_y>(z, in, out, *reinterpret_cast<Tiles<F>*>(memory));
}

template <class F>
__global__ void __launch_bounds__(kThreads, 2)
    scan_backward(ScanSizes z, ScanInputs in, ScanUpstream upstream, ScanGradients out) {
  extern __shared__ __align__(16) char memory[];
  backward<F>(z, in, upstream, out, *reinterpret_cast<BackwardTiles<F>*>(memory));
}

template <class Kernel, class... Arguments>
cudaError_t launch(Kernel kernel, size_t shared, const ScanSizes& z, cudaStream_t stream,
                   const Arguments&... arguments) {
  const auto bytes = static_cast<int>(shared);
  if (const auto error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
      error != cudaSuccess)
    return error;
  kernel<<<static_cast<unsigned>(z.all_blocks()), kThreads, shared, stream>>>(z, arguments...);
  return cudaGetLastError();
}

}  // namespace

bool fits_selective_scan(int64_t S, const CudaDevice& device) {
  bool fits = false;
  if (S <= kMostScanNumbers)
    with_form(S, [&](auto* form) {
      using F = std::remove_pointer_t<decltype(form)>;
      fits = sizeof(BackwardTiles<F>) <= static_cast<size_t>(device.shared_bytes);
    });
  return fits;
}

cudaError_t selective_scan(const ScanSizes& sizes, const ScanInputs& in, const ScanResults& out,
                           cudaStream_t stream) {
  auto error = cudaSuccess;
  with_form(sizes.S, [&](auto* form) {
    using F = std::remove_pointer_t<decltype(form)>;
    static_assert(F::kBlock == scan_block(F::kWide));
    error = launch(out.y.at ? scan_forward<F, true> : scan_forward<F, false>, sizeof(Tiles<F>), sizes, stream,
                   in, out);
  });
  return error;
}

cudaError_t selective_scan_backward(const ScanSizes& sizes, const ScanInputs& in, const ScanUpstream& upstream,
                                    const ScanGradients& out, cudaStream_t stream) {
  auto error = cudaSuccess;
  with_form(sizes.S, [&](auto* form) {
    using F = std::remove_pointer_t<decltype(form)>;
    error = launch(scan_backward<F>, sizeof(BackwardTiles<F>), sizes, stream, in, upstream, out);
  });
  return error;
}

}  // namespace attnlab::cuda
