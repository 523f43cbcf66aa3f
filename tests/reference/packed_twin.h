// The hub's packed layout bit by bit, in plain loops and double precision.
#pragma once

#include <cmath>

#include "quantize/packed_matrix.h"

namespace attnlab::test {

// `bits` bits of a row of 32-bit words from bit `first` on, the words `stride` apart.
inline int64_t bits_at(const int32_t* words, int64_t stride, int64_t first, int64_t bits) {
  int64_t value = 0;
  for (int64_t k = 0; k < bits; ++k) {
    const auto word = static_cast<uint32_t>(words[(first + k) / 32 * stride]);
    value |= static_cast<int64_t>((word >> ((first + k) % 32)) & 1U) << k;
  }
  return value;
}

// W [O, I].
inline torch::Tensor naive_packed_weight(const PackedMatrix& packed, const MatrixPacking& packing) {
  const auto qweight = packed.qweight.cpu().contiguous(), qzeros = packed.qzeros.cpu().contiguous();
  const auto scales = packed.scales.cpu().to(torch::kFloat64).contiguous(),
             g_idx = packed.g_idx.cpu().contiguous();
  const int64_t in = g_idx.size(0), out = scales.size(1), b = packing.bits;
  auto weight = torch::empty({out, in}, torch::kFloat64);
  for (int64_t o = 0; o < out; ++o)
    for (int64_t i = 0; i < in; ++i) {
      const int64_t group = g_idx.const_data_ptr<int32_t>()[i];
      const int64_t q = bits_at(qweight.const_data_ptr<int32_t>() + o, out, b * i, b);
      const int64_t stored = bits_at(qzeros.const_data_ptr<int32_t>() + group * (out * b / 32), 1, b * o, b);
      const int64_t zero = (stored + (packing.format == PackedFormat::gptq ? 1 : 0)) % (int64_t{1} << b);
      weight.mutable_data_ptr<double>()[o * in + i] =
          scales.const_data_ptr<double>()[group * out + o] * static_cast<double>(q - zero);
    }
  return weight;
}

}  // namespace attnlab::test
