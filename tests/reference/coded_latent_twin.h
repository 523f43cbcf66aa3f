// A latent that is kept as codes, number by number.
#pragma once

#include <cmath>

#include "kernels/coded_latent.h"
#include "tensor/torch.h"

namespace attnlab::test {

// fp8 e4m3: a sign, four bits of exponent with a bias of 7, three of mantissa; no infinity, and all ones is
// NaN.
inline double e4m3(uint8_t byte) {
  const int exponent = byte >> 3 & 15, mantissa = byte & 7;
  const double size = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
  return (byte & 0x80) != 0 ? -size : size;
}

// [B, S, R + r] in bfloat16, rounded from float32; zeros where a row has no token.
inline torch::Tensor decoded_twin(const CodedLatent& c, int64_t S) {
  const auto on_cpu = [](const torch::Tensor& x, torch::ScalarType type) {
    return x.cpu().to(type).contiguous();
  };
  const bool fp8 = c.codes_BPR.scalar_type() == torch::kFloat8_e4m3fn;
  const auto codes = fp8 ? c.codes_BPR.view(torch::kUInt8).cpu().to(torch::kInt64).contiguous()
                         : on_cpu(c.codes_BPR, torch::kInt64);
  const auto scales = on_cpu(c.scales_BPg, torch::kFloat64), rest = on_cpu(c.rest_BPr, torch::kFloat64);
  const int64_t B = codes.size(0), R = codes.size(2), r = rest.size(2), group = R / scales.size(2);
  const auto out = torch::zeros({B, S, R + r}, torch::kFloat32);
  const auto code_at = codes.accessor<int64_t, 3>();
  const auto scale_at = scales.accessor<double, 3>(), rest_at = rest.accessor<double, 3>();
  auto out_at = out.accessor<float, 3>();
  for (int64_t b = 0; b < B; ++b)
    for (int64_t s = 0; s < S; ++s) {
      const int64_t row = c.gaps_B.defined() ? s - c.gaps_B[b].item<int64_t>() : s;
      if (row < 0) continue;
      for (int64_t i = 0; i < R + r; ++i) {
        const auto number = [&] {
          const auto code = code_at[b][row][i];
          const double of_code = fp8 ? e4m3(static_cast<uint8_t>(code)) : static_cast<double>(code);
          return of_code * scale_at[b][row][i / group];
        };
        out_at[b][s][i] = static_cast<float>(i < R ? number() : rest_at[b][row][i - R]);
      }
    }
  return out.to(torch::kBFloat16);
}

}  // namespace attnlab::test
