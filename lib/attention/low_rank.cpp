#include "attention/low_rank.h"

#include "attention/spectral.h"
#include "core/errors.h"

namespace attnlab {

LowRank low_rank(const torch::Tensor& weight, const torch::Tensor& bias, const torch::Tensor& moment,
                 int64_t rank) {
  ATTNLAB_CHECK(rank >= 1 && rank <= weight.size(0) && moment.size(0) == weight.size(0));
  const Spectrum spectrum = spectrum_of(moment);
  const auto up = spectrum.vectors.narrow(1, 0, rank);
  return {.down = torch::matmul(up.t(), weight.to(torch::kFloat64)),
          .down_bias = bias.defined() ? torch::mv(up.t(), bias.to(torch::kFloat64)) : torch::Tensor(),
          .up = up,
          .energies = spectrum.values.clamp_min(0)};
}

LowRank balanced(const LowRank& factors) {
  constexpr double smallest = 1e-6;  // of the largest: directions without energy are left as they are
  const auto root = factors.energies.narrow(0, 0, factors.up.size(1)).pow(0.25);  // √S
  const auto scale = torch::where(root > smallest * root[0], root, 1.0);
  return {.down = factors.down / scale.unsqueeze(1),
          .down_bias = factors.down_bias.defined() ? factors.down_bias / scale : factors.down_bias,
          .up = factors.up * scale,
          .energies = factors.energies};
}

double energy_kept(const torch::Tensor& energies, int64_t rank) {
  const double all = energies.sum().item<double>();
  return all > 0 ? energies.narrow(0, 0, rank).sum().item<double>() / all : 1;
}

}  // namespace attnlab
