#include "stats/sign_flip.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/errors.h"
#include "core/random.h"

namespace attnlab {
namespace {

// Magnitudes of the differences that have a sign to flip, and their sum with the signs that they came with.
struct Flips {
  std::vector<double> magnitudes;
  double observed = 0, total = 0;
  // Sums of the same numbers in another order differ by less.
  double rounding() const {
    return static_cast<double>(magnitudes.size()) * std::numeric_limits<double>::epsilon() * total;
  }
};

Flips flips_of(std::span<const double> differences) {
  Flips flips;
  for (const double difference : differences) {
    ATTNLAB_CHECK(std::isfinite(difference));
    if (difference == 0) continue;
    flips.magnitudes.push_back(std::abs(difference));
    flips.observed += difference;
    flips.total += std::abs(difference);
  }
  return flips;
}

bool are_small_whole_numbers(const Flips& flips) {
  const bool whole = std::all_of(flips.magnitudes.begin(), flips.magnitudes.end(),
                                 [](double value) { return value == std::floor(value); });
  return whole && flips.total <= 1e6 && flips.total * static_cast<double>(flips.magnitudes.size()) <= 1e8;
}

// P(sum >= s) for whole numbers. The sum is total - 2 T, where T is the sum of those that became negative: its
// distribution grows by one difference after the other.
double tail_of_whole_numbers(const Flips& flips, double s) {
  std::vector<double> share(static_cast<size_t>(flips.total) + 1);
  share[0] = 1;
  size_t reached = 0;
  for (const double magnitude : flips.magnitudes) {
    const auto step = static_cast<size_t>(magnitude);
    reached += step;
    for (size_t t = reached; t >= step; --t) share[t] = (share[t] + share[t - step]) / 2;
    for (size_t t = 0; t < step; ++t) share[t] /= 2;
  }
  double tail = 0;
  const auto most = static_cast<size_t>((flips.total - s) / 2);
  for (size_t t = 0; t <= most; ++t) tail += share[t];
  return tail;
}

// The sums of all choices of signs.
std::vector<double> signed_sums(std::span<const double> magnitudes) {
  std::vector<double> sums{0};
  for (const double magnitude : magnitudes) {
    const size_t count = sums.size();
    for (size_t i = 0; i < count; ++i) {
      sums.push_back(sums[i] - magnitude);
      sums[i] += magnitude;
    }
  }
  return sums;
}

// P(sum >= s), meeting in the middle: 2^{n/2} sums of either half instead of 2^n.
double tail_of_halves(const Flips& flips, double s) {
  const std::span<const double> all = flips.magnitudes;
  const std::vector<double> left = signed_sums(all.first(all.size() / 2));
  std::vector<double> right = signed_sums(all.subspan(all.size() / 2));
  std::sort(right.begin(), right.end());
  double count = 0;
  for (const double sum : left) {
    const auto first = std::lower_bound(right.begin(), right.end(), s - sum - flips.rounding());
    count += static_cast<double>(right.end() - first);
  }
  return count / (static_cast<double>(left.size()) * static_cast<double>(right.size()));
}

double random_sum(const Flips& flips, Random& random) {
  double sum = 0;
  uint64_t bits = 0;
  for (size_t i = 0; i < flips.magnitudes.size(); ++i, bits >>= 1) {
    if (i % 64 == 0) bits = random.next();
    sum += bits & 1 ? flips.magnitudes[i] : -flips.magnitudes[i];
  }
  return sum;
}

PermutationTest random_flips(const Flips& flips, const PermutationConfig& config) {
  Random random(config.seed, hash_name("sign flips"));
  const double slack = flips.rounding();
  double greater = 1, less = 1, farther = 1;
  for (int64_t i = 0; i < config.resamples; ++i) {
    const double sum = random_sum(flips, random);
    greater += sum >= flips.observed - slack;
    less += sum <= flips.observed + slack;
    farther += std::abs(sum) >= std::abs(flips.observed) - slack;
  }
  const double all = 1 + static_cast<double>(config.resamples);
  return {.p_two_sided = farther / all, .p_greater = greater / all, .p_less = less / all, .exact = false};
}

}  // namespace

PermutationTest sign_flip_test(std::span<const double> differences, const PermutationConfig& config) {
  ATTNLAB_CHECK(config.resamples >= 1);
  const Flips flips = flips_of(differences);
  const bool whole = are_small_whole_numbers(flips);
  if (!whole && flips.magnitudes.size() > 40) return random_flips(flips, config);
  const auto tail = [&](double s) {
    return std::min(1.0, whole ? tail_of_whole_numbers(flips, s) : tail_of_halves(flips, s));
  };
  // By symmetry P(sum <= s) = P(sum >= -s).
  return {.p_two_sided = std::min(1.0, 2 * tail(std::abs(flips.observed))),
          .p_greater = tail(flips.observed),
          .p_less = tail(-flips.observed)};
}

}  // namespace attnlab
