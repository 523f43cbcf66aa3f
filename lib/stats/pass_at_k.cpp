#include "stats/pass_at_k.h"

#include "core/errors.h"

namespace attnlab {

// C(n-c, k) / C(n, k) = Π_{i=n-c+1}^{n} (1 - k/i): no factorial, so nothing overflows.
double pass_at_k(int64_t n, int64_t c, int64_t k) {
  ATTNLAB_CHECK(0 <= c && c <= n && k >= 1);
  if (n - c < k) return 1;
  double all_wrong = 1;
  for (int64_t i = n - c + 1; i <= n; ++i) all_wrong *= 1 - static_cast<double>(k) / static_cast<double>(i);
  return 1 - all_wrong;
}

std::optional<double> mean_pass_at_k(std::span<const int64_t> n_samples, std::span<const int64_t> n_right,
                                     int64_t k) {
  ATTNLAB_CHECK(n_samples.size() == n_right.size());
  if (n_samples.empty()) return std::nullopt;
  double sum = 0;
  for (size_t i = 0; i < n_samples.size(); ++i) {
    if (n_samples[i] < k) return std::nullopt;
    sum += pass_at_k(n_samples[i], n_right[i], k);
  }
  return sum / static_cast<double>(n_samples.size());
}

}  // namespace attnlab
