// KVQuant's levels, bounds and outliers.
#include "state/kvquant.h"

#include <limits>

#include "catch.h"

namespace attnlab::test {
namespace {

// The least weighted squared error of k groups of neighbours among sorted numbers, by trying all.
double least_error(const std::vector<double>& z, const std::vector<double>& w, size_t begin, size_t k) {
  if (begin == z.size()) return 0;
  if (k == 0) return std::numeric_limits<double>::infinity();
  double best = std::numeric_limits<double>::infinity();
  for (size_t end = begin + 1; end <= z.size(); ++end) {
    double sum = 0, mean = 0, error = 0;
    for (size_t i = begin; i < end; ++i) sum += w[i], mean += w[i] * z[i];
    mean /= sum;
    for (size_t i = begin; i < end; ++i) error += w[i] * (z[i] - mean) * (z[i] - mean);
    best = std::min(best, error + least_error(z, w, end, k - 1));
  }
  return best;
}

TEST_CASE("fitted levels err as little as the best division of the numbers does") {
  torch::manual_seed(4);
  for (int trial = 0; trial < 20; ++trial) {
    const auto z = std::get<0>(torch::randn({11}, torch::kFloat64).sort());
    const auto w = torch::rand({11}, torch::kFloat64) + 0.01;
    const std::vector<double> numbers(z.const_data_ptr<double>(), z.const_data_ptr<double>() + 11);
    const std::vector<double> weights(w.const_data_ptr<double>(), w.const_data_ptr<double>() + 11);
    for (const int64_t bits : {1, 2}) {
      const auto levels = fit_levels(z, w, bits);
      const auto read = levels.index_select(0, nearest_level(z, levels).to(torch::kInt64));
      const double ours = (w * (read - z).square()).sum().item<double>();
      CHECK(ours <= least_error(numbers, weights, 0, size_t{1} << bits) * (1 + 1e-9) + 1e-15);
    }
  }
}

TEST_CASE("fewer numbers than levels are all kept") {
  const auto z = torch::tensor({0.5, -1.0, 0.5}, torch::kFloat64);
  const auto levels = fit_levels(z, torch::ones_like(z), 3);
  CHECK(levels.size(0) == 8);
  CHECK(torch::equal(levels.index_select(0, nearest_level(z, levels).to(torch::kInt64)), z));
}

TEST_CASE("bounds are quantiles, linear between neighbours, and a token's outliers lie at or beyond them") {
  const auto x = torch::arange(101, torch::kFloat64).flip(0).unsqueeze(0);
  const auto bounds = inlier_bounds(x, 0.95, 1);
  CHECK(bounds.lower.item<double>() == Approx(2.5));
  CHECK(bounds.upper.item<double>() == Approx(97.5));
  const auto outliers = value_outliers(x, 0.95);
  CHECK(outliers.sum().item<int64_t>() == 6);
  CHECK(value_outliers(x, 1).sum().item<int64_t>() == 0);
  const auto range = value_range(x, outliers);
  CHECK((range.mid - range.half).item<double>() == Approx(3));
  CHECK((range.mid + range.half).item<double>() == Approx(97));
}

TEST_CASE("a constant token is read back as it is") {
  const auto x = torch::full({2, 8}, 1.5, torch::kFloat64);
  const auto range = value_range(x, value_outliers(x, 1));
  CHECK(torch::equal(range.back(range.normed(x)), x));
}

}  // namespace
}  // namespace attnlab::test
