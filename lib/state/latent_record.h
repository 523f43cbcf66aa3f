// An MLA latent and its rotary part as one record of bytes, in the layouts that FlashMLA's kernels read
// (github.com/deepseek-ai/FlashMLA). R latent numbers, r rotary ones, tiles of t latent numbers with a scale
// each.
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/coded_latent.h"
#include "state/storage_config.h"
#include "tensor/torch.h"

namespace attnlab {

struct LatentRecord {
  int64_t rank = 0, rope = 0, tile = 0;  // the tile divides the rank
  Fp8Scales scales = Fp8Scales::power_of_two;
  int64_t tiles() const { return rank / tile; }
  // Of a token: R e4m3 numbers, R / t float32 scales, r numbers of `element_bytes`.
  int64_t bytes(int64_t element_bytes) const { return rank + 4 * tiles() + rope * element_bytes; }
};

// x [..., R + r] → uint8 [..., bytes]. The rotary part stays in x's type; at 512 + 64 numbers in bfloat16 and
// tiles of 128 these are FlashMLA's 656 bytes.
torch::Tensor to_record(const torch::Tensor& x, const LatentRecord& form);
// [..., R + r]; `dtype`: the type of the rotary part.
torch::Tensor from_record(const torch::Tensor& bytes, const LatentRecord& form, torch::ScalarType dtype);
// The parts of records [B, P, bytes] as views, the rotary part in bfloat16; nullopt where it has another width,
// or a record does not end where a float32 may begin.
std::optional<CodedLatent> latent_of_records(const torch::Tensor& bytes, const LatentRecord& form);

// FlashMLA's newer layout of a block of n tokens, x [n, R + r]: R e4m3 numbers and r bfloat16 ones of each
// token, then behind all of them each token's scales, powers of two as e8m0 (the exponent, biased by 127),
// filled with zeros to 8 bytes. uint8 [n·(R + 2r + 8)].
torch::Tensor to_block(const torch::Tensor& x, const LatentRecord& form);
torch::Tensor from_block(const torch::Tensor& bytes, int64_t n, const LatentRecord& form);
// float32 [n, R / t]: the scales that stand in a block.
torch::Tensor scales_of_block(const torch::Tensor& bytes, int64_t n, const LatentRecord& form);

}  // namespace attnlab
