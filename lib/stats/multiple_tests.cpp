#include "stats/multiple_tests.h"

#include <algorithm>
#include <cmath>

#include "core/errors.h"

namespace attnlab {
namespace {

// Places of the tests that were made, by ascending p.
std::vector<size_t> ascending(std::span<const double> p) {
  std::vector<size_t> order;
  for (size_t i = 0; i < p.size(); ++i) {
    if (std::isnan(p[i])) continue;
    ATTNLAB_CHECK(p[i] >= 0 && p[i] <= 1);
    order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] < p[b]; });
  return order;
}

// What the p of rank 1 … m is multiplied by.
double factor(Adjustment method, size_t rank, size_t m) {
  const auto tests = static_cast<double>(m), place = static_cast<double>(rank);
  if (method == Adjustment::holm) return tests - place + 1;
  if (method == Adjustment::benjamini_hochberg) return tests / place;
  return tests;
}

}  // namespace

// Holm steps down: p(i) is at least what all smaller ones got. Benjamini-Hochberg steps up: at most what all
// larger ones got.
std::vector<double> adjusted_p(std::span<const double> p, Adjustment method) {
  const std::vector<size_t> order = ascending(p);
  const size_t m = order.size();
  std::vector<double> adjusted(p.begin(), p.end());
  for (size_t i = 0; i < m; ++i) adjusted[order[i]] = std::min(1.0, p[order[i]] * factor(method, i + 1, m));
  for (size_t i = 1; i < m; ++i) {
    if (method == Adjustment::holm) adjusted[order[i]] = std::max(adjusted[order[i]], adjusted[order[i - 1]]);
    if (method == Adjustment::benjamini_hochberg)
      adjusted[order[m - 1 - i]] = std::min(adjusted[order[m - 1 - i]], adjusted[order[m - i]]);
  }
  return adjusted;
}

std::vector<bool> rejected(std::span<const double> p, Adjustment method, double alpha) {
  ATTNLAB_CHECK(alpha > 0 && alpha < 1);
  std::vector<bool> result;
  for (const double value : adjusted_p(p, method)) result.push_back(value <= alpha);
  return result;
}

}  // namespace attnlab
