#include "model/norm.h"

#include "core/errors.h"

namespace attnlab {

NormedStream NormImpl::of_sum(const torch::Tensor& x, const torch::Tensor& added) const {
  if (!mask.defined() && kind_ != NormKind::layer)
    return add_and_norm(x, added, kind_ == NormKind::rms_plus_one ? weight + 1 : weight, eps_);
  const auto stream = added.defined() ? x + added : x;
  return {stream, mask.defined() ? masked_forward(stream)
                                 : torch::layer_norm(stream, weight.sizes(), weight, bias, eps_)};
}

torch::Tensor NormImpl::masked_forward(const torch::Tensor& x) const {
  ATTNLAB_CHECK(kind_ != NormKind::layer);  // no family with these is pruned
  const auto wide = x.to(c10::promoteTypes(x.scalar_type(), torch::kFloat32));
  const auto kept = (mask != 0).to(wide.scalar_type());
  const auto mean_square = (wide.square() * kept).sum(-1, /*keepdim=*/true) / kept.sum();
  const auto factor = kind_ == NormKind::rms_plus_one ? weight + 1 : weight;
  return (wide * (mean_square + eps_).rsqrt() * factor * mask).to(x.scalar_type());
}

}  // namespace attnlab
