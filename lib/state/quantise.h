// Quantisers: numbers to codes of few bits and back. Each group of neighbours along the last dimension has a
// scale of its own. Codes are made with the scale as it is kept, so that its rounding costs at most a clipped
// end of the range. Numbers come in any floating type; scales are kept in the same.
#pragma once

#include <cstdint>

#include "state/storage_config.h"
#include "tensor/torch.h"

namespace attnlab {

// code·scale + min, with scale = (max - min) / (2^bits - 1) and code = ⌊(x - min) / scale⌉, half to even
// (KIVI, arXiv 2402.02750, §2). A constant group has scale 0 and codes 0.
struct Affine {
  torch::Tensor codes;       // uint8 [..., n]
  torch::Tensor scale, min;  // [..., n / group]
};
Affine quantise_affine(const torch::Tensor& x, int64_t bits, int64_t group);
torch::Tensor read_affine(const Affine& coded, torch::ScalarType dtype);

// code·scale, with scale = max|x| / 127.
struct Symmetric {
  torch::Tensor codes;  // int8 [..., n]
  torch::Tensor scale;  // [..., n / group]
};
Symmetric quantise_symmetric(const torch::Tensor& x, int64_t group);
torch::Tensor read_symmetric(const Symmetric& coded, torch::ScalarType dtype);

// fp8 e4m3 of x / scale, clamped to ±448 (a cast beyond it is NaN in some libraries), nearest with ties to
// even. Code bytes as uint8.
torch::Tensor to_fp8(const torch::Tensor& x, const torch::Tensor& scale);
torch::Tensor from_fp8(const torch::Tensor& bytes, const torch::Tensor& scale, torch::ScalarType dtype);
// Scales of groups, [..., n / group].
torch::Tensor fp8_scales(const torch::Tensor& x, int64_t group, Fp8Scales kind);
inline constexpr double kLargestFp8 = 448;

// Codes of `bits` bits each along the last dimension, [..., n], as bytes, the first code in the lowest bits.
// The last byte's rest is 0.
torch::Tensor pack_bits(const torch::Tensor& codes, int64_t bits);
torch::Tensor unpack_bits(const torch::Tensor& bytes, int64_t bits, int64_t n);
// Bytes that n codes take.
int64_t packed_size(int64_t n, int64_t bits);

}  // namespace attnlab
