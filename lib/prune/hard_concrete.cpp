#include "prune/hard_concrete.h"

#include <cmath>

namespace attnlab {
namespace {

torch::Tensor evaluated_row(const torch::Tensor& alpha_n, int64_t zeros) {
  auto z_n = torch::sigmoid(alpha_n * (0.8 / kMaskTemperature));
  const int64_t n = alpha_n.size(0);
  if (zeros < 0)
    zeros = static_cast<int64_t>(
        std::nearbyint(static_cast<double>(n) - kept_chance(alpha_n).sum().item<double>()));
  if (zeros > 0)
    z_n = z_n.index_fill(0, std::get<1>(torch::topk(z_n, std::min(zeros, n), 0, /*largest=*/false)), 0);
  return z_n;
}

}  // namespace

void clamp_mask_parameter(torch::Tensor& alpha) {
  const torch::NoGradGuard no_grad;
  alpha.clamp_(std::log(1e-2), std::log(1e2));
}

torch::Tensor sampled_mask(const torch::Tensor& alpha, const torch::Tensor& uniform) {
  const auto s = torch::sigmoid((uniform.log() - (1 - uniform).log() + alpha) / kMaskTemperature);
  return (s * (kMaskHigh - kMaskLow) + kMaskLow).clamp(0, 1);
}

torch::Tensor kept_chance(const torch::Tensor& alpha) {
  const double edge = std::log(-kMaskLow / kMaskHigh) * kMaskTemperature;
  return 1 - torch::sigmoid(edge - alpha).clamp(kMaskEdge, 1 - kMaskEdge);
}

torch::Tensor expected_sparsity(const torch::Tensor& alpha) { return 1 - kept_chance(alpha).mean(-1); }

torch::Tensor evaluated_mask(const torch::Tensor& alpha, int64_t zeros) {
  const torch::NoGradGuard no_grad;
  if (alpha.dim() == 1) return evaluated_row(alpha, zeros);
  std::vector<torch::Tensor> rows;
  for (int64_t i = 0; i < alpha.size(0); ++i) rows.push_back(evaluated_row(alpha[i], zeros));
  return torch::stack(rows);
}

}  // namespace attnlab
