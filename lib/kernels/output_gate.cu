#include <type_traits>

#include "kernels/cuda_kernels.h"
#include "kernels/output_gate.cuh"

namespace attnlab::cuda {
namespace {

unsigned blocks_of(const GateRows& z) {
  const int64_t packs = z.rows * z.width / gate::kPack;
  return static_cast<unsigned>((packs + gate::kThreads - 1) / gate::kThreads);
}
gate::Rows rows_of(const GateRows& z) { return {z.rows, z.width, z.z_row}; }

}  // namespace

cudaError_t output_gate(Format format, const GateRows& rows, const float* y, const void* z, void* out,
                        cudaStream_t stream) {
  with_type(format, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    gate::forward<T><<<blocks_of(rows), gate::kThreads, 0, stream>>>(rows_of(rows), y, static_cast<const T*>(z),
                                                                     static_cast<T*>(out));
  });
  return cudaGetLastError();
}

cudaError_t output_gate_backward(Format format, const GateRows& rows, const float* y, const void* z,
                                 const void* dout, float* dy, void* dz, cudaStream_t stream) {
  with_type(format, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    gate::backward<T><<<blocks_of(rows), gate::kThreads, 0, stream>>>(
        rows_of(rows), y, static_cast<const T*>(z), static_cast<const T*>(dout), dy, static_cast<T*>(dz));
  });
  return cudaGetLastError();
}

}  // namespace attnlab::cuda
