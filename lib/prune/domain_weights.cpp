#include "prune/domain_weights.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/errors.h"

namespace attnlab {

std::vector<double> updated_weights(DomainUpdate update, const std::vector<double>& weights,
                                    const std::vector<double>& losses, const std::vector<double>& references) {
  const size_t n = weights.size();
  ATTNLAB_CHECK(n > 0 && losses.size() == n && references.size() == n);
  if (update == DomainUpdate::constant) return weights;
  constexpr double smoothing = 1e-4;
  std::vector<double> out(n);
  for (size_t i = 0; i < n; ++i)
    out[i] = (update == DomainUpdate::doremi ? std::log(weights[i]) : weights[i]) + losses[i] - references[i];
  const double largest = *std::max_element(out.begin(), out.end());
  for (auto& x : out) x = std::exp(x - largest);
  const double sum = std::accumulate(out.begin(), out.end(), 0.0);
  for (auto& x : out) x = (1 - smoothing) * x / sum + smoothing / static_cast<double>(n);
  const double all = std::accumulate(out.begin(), out.end(), 0.0);
  for (auto& x : out) x /= all;
  return out;
}

}  // namespace attnlab
