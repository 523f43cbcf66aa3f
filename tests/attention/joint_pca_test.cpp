#include "attention/joint_pca.h"

#include "attention/spectral.h"
#include "catch.h"

namespace attnlab {
namespace {

torch::Tensor numbers(int64_t rows, int64_t columns, uint64_t seed) {
  torch::manual_seed(seed);
  return torch::randn({rows, columns}, torch::kFloat64);
}

// B R Rᵀ A by the whole decomposition: independent of the directions' signs.
torch::Tensor expected_product(const KvFactors& full, const torch::Tensor& moment, int64_t keys, double ratio,
                               int64_t rank) {
  const int64_t n = moment.size(0);
  const auto scale = torch::ones({n}, torch::kFloat64);
  scale.narrow(0, 0, keys).fill_(1 / ratio);
  const auto balanced = damped(moment * scale.unsqueeze(1) * scale.unsqueeze(0), 0.01);
  const auto vectors = spectrum_of(balanced).vectors.narrow(1, 0, rank);
  return torch::matmul(torch::matmul(full.up / scale, vectors),
                       torch::matmul(vectors.t(), full.down * scale.unsqueeze(1)));
}

void check(int64_t n, int64_t d, bool with_bias, int64_t rank) {
  CAPTURE(n, d, with_bias, rank);
  const KvFactors full{.down = numbers(n, d, 1),
                       .down_bias = with_bias ? numbers(n, 1, 2).squeeze(1) : torch::Tensor(),
                       .up = numbers(11, n, 3)};
  auto z_PN = torch::matmul(numbers(60, d, 4) * torch::logspace(0, -1, d, 10, torch::kFloat64), full.down.t());
  if (with_bias) z_PN = z_PN + full.down_bias;
  const auto moment = torch::matmul(z_PN.t(), z_PN);
  const Compressed done = compress(full, moment, n / 2, 1.7, rank);
  const auto expected = expected_product(full, moment, n / 2, 1.7, rank);
  const auto found = torch::matmul(done.factors.up, done.factors.down);
  // float64, and eigenvalues that are some per cent apart.
  CHECK((found - expected).abs().max().item<double>() < 1e-9 * expected.abs().max().item<double>());
  if (with_bias) CHECK(done.factors.down_bias.size(0) == rank);
  CHECK(done.energy_kept > 0.3);
  CHECK(done.energy_kept < 1 + 1e-12);
}

TEST_CASE("the joint PCA of more numbers than inputs has the directions of the whole decomposition") {
  for (const bool with_bias : {false, true}) {
    check(24, 9, with_bias, 5);
    check(24, 9, with_bias, 9);
    check(24, 9, with_bias, 12);  // more than there are inputs
    check(9, 24, with_bias, 5);
  }
}

}  // namespace
}  // namespace attnlab
