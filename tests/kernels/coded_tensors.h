// Coded latents on a CPU, as kernels see them.
#pragma once

#include "kernels/coded_latent.h"
#include "kernels/coded_tile.h"
#include "tensor/torch.h"

namespace attnlab::test {

inline cuda::TokenBytes part_of(const torch::Tensor& x, int step) {
  const int64_t size = x.element_size();
  return {static_cast<const char*>(x.const_data_ptr()), x.stride(0) * size, x.stride(1) * size,
          static_cast<int>(x.size(2) * size), step};
}

inline cuda::CodedTokens view_of(cuda::LatentCode code, const CodedLatent& c, int step) {
  return {.code = code,
          .codes = part_of(c.codes_BPR, step),
          .scales = part_of(c.scales_BPg, step < 8 ? step : 8),
          .rest = part_of(c.rest_BPr, step),
          .group = static_cast<int>(c.codes_BPR.size(2) / c.scales_BPg.size(2)),
          .gaps = c.gaps_B.defined() ? c.gaps_B.const_data_ptr<int>() : nullptr,
          .rows = c.codes_BPR.size(1)};
}

// Every code stands somewhere; parts of a token in one record, or each in memory of its own.
inline CodedLatent some_codes(bool fp8, bool in_record, int64_t B, int64_t P, int64_t R, int64_t r,
                              int64_t group) {
  const auto bytes = torch::randint(0, 256, {B, P, R}, torch::kInt64);
  if (fp8) bytes.masked_fill_(bytes.bitwise_and(0x7f) == 0x7f, 0x7e);  // NaN
  const auto codes = bytes.to(torch::kUInt8), rest = torch::randn({B, P, r}, torch::kBFloat16);
  const auto scales = torch::rand({B, P, R / group}).to(fp8 ? torch::kFloat32 : torch::kBFloat16);
  const auto code_type = fp8 ? torch::kFloat8_e4m3fn : torch::kInt8;
  if (!in_record) return {codes.view(code_type), scales, rest, {}};
  const auto record = torch::cat({codes, scales.view(torch::kUInt8), rest.view(torch::kUInt8)}, 2);
  const int64_t scale_bytes = R / group * scales.element_size();
  return {record.narrow(2, 0, R).view(code_type),
          record.narrow(2, R, scale_bytes).view(scales.scalar_type()),
          record.narrow(2, R + scale_bytes, 2 * r).view(torch::kBFloat16),
          {}};
}

}  // namespace attnlab::test
