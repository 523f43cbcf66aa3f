#include "state/affine_codec.h"

#include "state/quantise.h"

namespace attnlab {

AffineCodec::AffineCodec(int64_t width, int64_t bits, int64_t group)
    : width_(width), bits_(bits), group_(group) {}

CodedTokens AffineCodec::encode(const torch::Tensor& x_LnW, const torch::Tensor&) const {
  const Affine coded = quantise_affine(x_LnW, bits_, group_);
  return {.by_token = {pack_bits(coded.codes, bits_), coded.scale, coded.min}, .by_group = {}};
}

torch::Tensor AffineCodec::decode(const CodedTokens& coded, const torch::Tensor&,
                                  torch::ScalarType dtype) const {
  const auto& parts = coded.by_token;
  return read_affine({unpack_bits(parts[0], bits_, width_), parts[1], parts[2]}, dtype);
}

double AffineCodec::bytes_per_token(int64_t element_bytes) const {
  return static_cast<double>(packed_size(width_, bits_) + 2 * (width_ / group_) * element_bytes);
}

}  // namespace attnlab
