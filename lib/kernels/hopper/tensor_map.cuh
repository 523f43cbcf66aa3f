// How the copy engine is told where a tensor lies.
#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

namespace attnlab::cuda {
namespace {

using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*,
                            const cuuint64_t*, const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave,
                            CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

// The driver's function, so that its library need not be linked.
Encode encoder() {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
  const auto error =
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &result);
#else
  const auto error = cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &found, cudaEnableDefault, &result);
#endif
  return error == cudaSuccess && result == cudaDriverEntryPointSuccess ? reinterpret_cast<Encode>(found)
                                                                       : nullptr;
}

// Of B sequences of so many tokens, each of so many numbers side by side; strides in bytes, multiples of 16, as
// is the address. A copy brings `columns` numbers of `rows` tokens, zeros where there are none.
struct TokenMap {
  CUtensorMapDataType type;
  const void* at;
  int64_t numbers, tokens, B, token_stride, stride;
  int columns, rows;
  CUtensorMapSwizzle swizzle;
};
bool make_map(const TokenMap& of, CUtensorMap& map) {
  static const Encode encode = encoder();
  if (!encode) return false;
  const cuuint64_t sizes[3] = {static_cast<cuuint64_t>(of.numbers), static_cast<cuuint64_t>(of.tokens),
                               static_cast<cuuint64_t>(of.B)};
  const cuuint64_t strides[2] = {static_cast<cuuint64_t>(of.token_stride), static_cast<cuuint64_t>(of.stride)};
  const cuuint32_t box[3] = {static_cast<cuuint32_t>(of.columns), static_cast<cuuint32_t>(of.rows), 1};
  const cuuint32_t steps[3] = {1, 1, 1};
  return encode(&map, of.type, 3, const_cast<void*>(of.at), sizes, strides, box, steps,
                CU_TENSOR_MAP_INTERLEAVE_NONE, of.swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

}  // namespace
}  // namespace attnlab::cuda
