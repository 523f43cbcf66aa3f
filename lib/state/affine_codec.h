// Tokens between minimum and maximum (quantise_affine), in groups of neighbouring numbers.
#pragma once

#include "state/token_codec.h"

namespace attnlab {

class AffineCodec final : public TokenCodec {
 public:
  AffineCodec(int64_t width, int64_t bits, int64_t group);
  CodedTokens encode(const torch::Tensor& x_LnW, const torch::Tensor& heads_L) const override;
  torch::Tensor decode(const CodedTokens& coded, const torch::Tensor& heads_L,
                       torch::ScalarType dtype) const override;
  double bytes_per_token(int64_t element_bytes) const override;

 private:
  int64_t width_, bits_, group_;
};

}  // namespace attnlab
