#include "stats/two_sample.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/errors.h"
#include "core/random.h"

namespace attnlab {
namespace {

// Both samples in one, about their common mean: then the difference of the means is the sum of x's part but for
// a factor.
struct Pool {
  std::vector<double> values;
  size_t n_x = 0;
  double observed = 0, rounding = 0;
};

Pool pool_of(std::span<const double> x, std::span<const double> y) {
  ATTNLAB_CHECK(!x.empty() && !y.empty());
  Pool pool{.values = {x.begin(), x.end()}, .n_x = x.size()};
  pool.values.insert(pool.values.end(), y.begin(), y.end());
  const auto n = static_cast<double>(pool.values.size());
  double sum = 0, magnitude = 0;
  for (const double value : pool.values) {
    ATTNLAB_CHECK(std::isfinite(value));
    sum += value;
    magnitude += std::abs(value);
  }
  for (double& value : pool.values) value -= sum / n;
  for (size_t i = 0; i < pool.n_x; ++i) pool.observed += pool.values[i];
  pool.rounding = 4 * n * std::numeric_limits<double>::epsilon() * magnitude;
  return pool;
}

struct Counts {
  double greater = 0, less = 0, all = 0;
  void add(double sum, const Pool& pool) {
    greater += sum >= pool.observed - pool.rounding;
    less += sum <= pool.observed + pool.rounding;
    all += 1;
  }
  PermutationTest shares(bool exact) const {
    return {.p_two_sided = std::min(1.0, 2 * std::min(greater, less) / all),
            .p_greater = greater / all,
            .p_less = less / all,
            .exact = exact};
  }
};

// Whether all C(n, k) splits are few enough.
bool can_count(const Pool& pool) {
  const size_t n = pool.values.size(), k = std::min(pool.n_x, n - pool.n_x);
  double splits = 1;
  for (size_t i = 1; i <= k && splits <= 2e6; ++i)
    splits *= static_cast<double>(n - k + i) / static_cast<double>(i);
  return splits <= 2e6 && splits * static_cast<double>(n) <= 1e8;
}

PermutationTest all_splits(const Pool& pool) {
  std::vector<bool> in_x(pool.values.size());
  std::fill_n(in_x.begin(), pool.n_x, true);
  Counts counts;
  do {
    double sum = 0;
    for (size_t i = 0; i < in_x.size(); ++i)
      if (in_x[i]) sum += pool.values[i];
    counts.add(sum, pool);
  } while (std::prev_permutation(in_x.begin(), in_x.end()));
  return counts.shares(true);
}

// Fisher-Yates, as far as x's part goes.
double random_split(std::vector<double>& values, size_t n_x, Random& random) {
  const auto last = static_cast<int64_t>(values.size()) - 1;
  double sum = 0;
  for (size_t i = 0; i < n_x; ++i) {
    std::swap(values[i], values[static_cast<size_t>(random.between(static_cast<int64_t>(i), last))]);
    sum += values[i];
  }
  return sum;
}

PermutationTest random_splits(const Pool& pool, const PermutationConfig& config) {
  Random random(config.seed, hash_name("two samples"));
  std::vector<double> values = pool.values;
  Counts counts;
  counts.add(pool.observed, pool);
  for (int64_t i = 0; i < config.resamples; ++i) counts.add(random_split(values, pool.n_x, random), pool);
  return counts.shares(false);
}

}  // namespace

PermutationTest two_sample_permutation(std::span<const double> x, std::span<const double> y,
                                       const PermutationConfig& config) {
  ATTNLAB_CHECK(config.resamples >= 1);
  const Pool pool = pool_of(x, y);
  return can_count(pool) ? all_splits(pool) : random_splits(pool, config);
}

}  // namespace attnlab
