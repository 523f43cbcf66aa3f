#include "convert/slicing.h"

namespace attnlab {

AffineMap fused_with_norm(const AffineMap& reader, const torch::Tensor& gamma, const torch::Tensor& beta) {
  AffineMap out{.weight = reader.weight * gamma, .bias = reader.bias};
  if (!beta.defined()) return out;
  const auto moved = torch::mv(reader.weight, beta);
  out.bias = reader.bias.defined() ? reader.bias + moved : moved;
  return out;
}

AffineMap centred(const AffineMap& writer) {
  return {.weight = writer.weight - writer.weight.mean(0, /*keepdim=*/true),
          .bias = writer.bias.defined() ? writer.bias - writer.bias.mean() : writer.bias};
}

torch::Tensor signal_moment(const torch::Tensor& x_BTD, const torch::Tensor& valid_BT) {
  auto x_PD = x_BTD.flatten(0, 1).to(torch::kFloat64);
  if (valid_BT.defined()) x_PD = x_PD.index({valid_BT.flatten()});
  return torch::matmul(x_PD.t(), x_PD);
}

PrincipalDirections principal_directions(const torch::Tensor& moment_DD) {
  auto damped_DD = moment_DD.clone();
  damped_DD.diagonal().add_(0.01 * moment_DD.diagonal().mean());
  const auto [ascending_D, vectors_DD] = at::linalg_eigh(damped_DD);
  return {.basis_DD = vectors_DD.flip(1).contiguous(), .eigenvalues_D = ascending_D.flip(0)};
}

}  // namespace attnlab
