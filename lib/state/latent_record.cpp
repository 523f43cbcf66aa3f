#include "state/latent_record.h"

#include "core/errors.h"
#include "state/quantise.h"

namespace attnlab {
namespace {

constexpr int64_t kBlockScales = 8;  // bytes of a token's scales in a block
constexpr int64_t kExponentBias = 127;

// Copies: a part of a record may lie at any byte.
torch::Tensor bytes_of(const torch::Tensor& x) {
  return x.clone(torch::MemoryFormat::Contiguous).view(torch::kUInt8);
}

torch::Tensor numbers_of(const torch::Tensor& bytes, torch::ScalarType dtype) {
  return bytes.clone(torch::MemoryFormat::Contiguous).view(dtype);
}

struct Coded {
  torch::Tensor numbers, scales;  // uint8 [..., R], float32 [..., R / t]
};
Coded code_latent(const torch::Tensor& x, const LatentRecord& form) {
  const auto latent = x.narrow(-1, 0, form.rank).to(torch::kFloat32);
  const auto scales = fp8_scales(latent, form.tile, form.scales);
  return {to_fp8(latent, scales), scales};
}

}  // namespace

torch::Tensor to_record(const torch::Tensor& x, const LatentRecord& form) {
  ATTNLAB_CHECK(x.size(-1) == form.rank + form.rope);
  const auto [numbers, scales] = code_latent(x, form);
  return torch::cat({numbers, bytes_of(scales), bytes_of(x.narrow(-1, form.rank, form.rope))}, -1);
}

torch::Tensor from_record(const torch::Tensor& bytes, const LatentRecord& form, torch::ScalarType dtype) {
  const int64_t rope_bytes = bytes.size(-1) - form.rank - 4 * form.tiles();
  const auto parts = bytes.split_with_sizes({form.rank, 4 * form.tiles(), rope_bytes}, -1);
  const auto scales = numbers_of(parts[1], torch::kFloat32);
  return torch::cat({from_fp8(parts[0].contiguous(), scales, dtype), numbers_of(parts[2], dtype)}, -1);
}

std::optional<CodedLatent> latent_of_records(const torch::Tensor& bytes, const LatentRecord& form) {
  constexpr int64_t element = 2;
  const int64_t size = form.bytes(element), scales = 4 * form.tiles();
  if (bytes.size(2) != size || size % 4 != 0 || form.rank % 4 != 0) return std::nullopt;
  return CodedLatent{bytes.narrow(2, 0, form.rank).view(torch::kFloat8_e4m3fn),
                     bytes.narrow(2, form.rank, scales).view(torch::kFloat32),
                     bytes.narrow(2, form.rank + scales, element * form.rope).view(torch::kBFloat16),
                     {}};
}

torch::Tensor to_block(const torch::Tensor& x, const LatentRecord& form) {
  ATTNLAB_CHECK(form.scales == Fp8Scales::power_of_two && form.tiles() <= kBlockScales);
  const auto [numbers, scales] = code_latent(x, form);
  const auto rope = bytes_of(x.narrow(-1, form.rank, form.rope).to(torch::kBFloat16));
  const auto exponents = (torch::log2(scales).round() + kExponentBias).to(torch::kUInt8);
  const auto padded = torch::constant_pad_nd(exponents, {0, kBlockScales - form.tiles()});
  return torch::cat({torch::cat({numbers, rope}, -1).flatten(), padded.flatten()});
}

torch::Tensor scales_of_block(const torch::Tensor& bytes, int64_t n, const LatentRecord& form) {
  const int64_t before = n * (form.rank + 2 * form.rope);
  const auto padded = bytes.narrow(0, before, n * kBlockScales).view({n, kBlockScales});
  return torch::exp2(padded.narrow(1, 0, form.tiles()).to(torch::kFloat32) -
                     static_cast<double>(kExponentBias));
}

torch::Tensor from_block(const torch::Tensor& bytes, int64_t n, const LatentRecord& form) {
  const auto tokens = bytes.narrow(0, 0, n * (form.rank + 2 * form.rope)).view({n, -1});
  const auto latent =
      from_fp8(tokens.narrow(1, 0, form.rank).contiguous(), scales_of_block(bytes, n, form), torch::kBFloat16);
  return torch::cat({latent, numbers_of(tokens.narrow(1, form.rank, 2 * form.rope), torch::kBFloat16)}, -1);
}

}  // namespace attnlab
