#include "attention/joint_pca.h"

#include <cmath>

#include "attention/spectral.h"
#include "core/errors.h"

namespace attnlab {
namespace {

constexpr double kPcaDamping = 0.01;

double mean_norm(const torch::Tensor& moment, int64_t first, int64_t end) {
  return moment.diagonal().slice(0, first, end).clamp_min(0).sqrt().mean().item<double>();
}

// The first `rank` eigenvectors [n, rank] of `moment`, which outside the range of `range` [n, d] is a multiple
// of the identity. Where d is less than n, as with as many KV heads as heads, they are found in that range: (d
// / n)³ of the work.
torch::Tensor leading_vectors(const torch::Tensor& moment, const torch::Tensor& range, int64_t rank) {
  if (range.size(1) >= moment.size(0) || rank > range.size(1))
    return spectrum_of(moment).vectors.narrow(1, 0, rank);
  const auto basis = std::get<0>(torch::linalg_qr(range, "reduced"));
  const auto inside = torch::matmul(basis.t(), torch::matmul(moment, basis));
  return torch::matmul(basis, spectrum_of((inside + inside.t()) / 2).vectors.narrow(1, 0, rank));
}

}  // namespace

double balance_ratio(const torch::Tensor& moment, int64_t keys, double balance_kv_ratio, int64_t skip_values) {
  if (keys == 0) return 1;
  const int64_t n = moment.size(0);
  const double of_keys = mean_norm(moment, 0, keys), of_values = mean_norm(moment, keys + skip_values, n);
  const double ratio = of_keys / (of_values * balance_kv_ratio);
  return std::isfinite(ratio) && ratio > 0 ? ratio : 1;  // keys or values that are zero throughout
}

Compressed compress(const KvFactors& full, const torch::Tensor& moment, int64_t keys, double ratio,
                    int64_t rank) {
  const int64_t n = moment.size(0);
  ATTNLAB_CHECK(full.down.size(0) == n && full.up.size(1) == n && rank >= 1 && rank <= n);
  auto scale = torch::ones({n}, moment.options());
  scale.narrow(0, 0, keys).fill_(1 / ratio);
  const auto balanced = moment * scale.unsqueeze(1) * scale.unsqueeze(0);
  const auto range =
      (full.down_bias.defined() ? torch::cat({full.down, full.down_bias.unsqueeze(1)}, 1) : full.down) *
      scale.unsqueeze(1);
  const auto directions = leading_vectors(damped(balanced, kPcaDamping), range, rank);  // [n, rank]
  const auto kept = (directions * torch::matmul(balanced, directions)).sum();
  const auto down = (directions * scale.unsqueeze(1)).t();  // Rᵀ S
  return {.factors = {.down = torch::matmul(down, full.down),
                      .down_bias = full.down_bias.defined() ? torch::mv(down, full.down_bias) : torch::Tensor(),
                      .up = torch::matmul(full.up, directions / scale.unsqueeze(1))},
          .energy_kept = (kept / balanced.trace()).item<double>()};
}

}  // namespace attnlab
