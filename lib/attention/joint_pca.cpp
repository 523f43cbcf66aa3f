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
  const auto directions = spectrum_of(damped(balanced, kPcaDamping)).vectors.narrow(1, 0, rank);  // [n, rank]
  const auto kept = (directions * torch::matmul(balanced, directions)).sum();
  const auto down = (directions * scale.unsqueeze(1)).t();  // Rᵀ S
  return {.factors = {.down = torch::matmul(down, full.down),
                      .down_bias = full.down_bias.defined() ? torch::mv(down, full.down_bias) : torch::Tensor(),
                      .up = torch::matmul(full.up, directions / scale.unsqueeze(1))},
          .energy_kept = (kept / balanced.trace()).item<double>()};
}

}  // namespace attnlab
