#include "state/kvquant.h"

#include <algorithm>
#include <limits>

#include "core/errors.h"

namespace attnlab {

KvquantRange KvquantRange::between(const torch::Tensor& lower, const torch::Tensor& upper) {
  return {(upper + lower) / 2, (upper - lower) / 2};
}

torch::Tensor KvquantRange::normed(const torch::Tensor& x) const {
  return (x - mid) / torch::where(half == 0, torch::ones_like(half), half);
}

Quantiles inlier_bounds(const torch::Tensor& x, double inliers, int64_t dim) {
  const auto sorted = std::get<0>(x.sort(dim));
  const int64_t n = x.size(dim);
  const auto at = [&](double share) {
    const double place = share * static_cast<double>(n - 1);
    const auto below = static_cast<int64_t>(place);
    const auto low = sorted.narrow(dim, below, 1), high = sorted.narrow(dim, std::min(below + 1, n - 1), 1);
    return low + (high - low) * (place - static_cast<double>(below));
  };
  return {at((1 - inliers) / 2), at(1 - (1 - inliers) / 2)};
}

torch::Tensor value_outliers(const torch::Tensor& x, double inliers) {
  if (inliers >= 1) return torch::zeros_like(x, torch::kBool);
  const auto [lower, upper] = inlier_bounds(x, inliers, -1);
  return (x <= lower).logical_or(x >= upper);
}

KvquantRange value_range(const torch::Tensor& x, const torch::Tensor& outliers) {
  const auto middle = std::get<0>(x.median(-1, /*keepdim=*/true));
  const auto inner = torch::where(outliers, middle, x);
  return KvquantRange::between(inner.amin(-1, true), inner.amax(-1, true));
}

torch::Tensor key_outliers(const torch::Tensor& x, const KvquantTable& table) {
  return (x < table.lower_W).logical_or(x > table.upper_W);
}

LevelNumbers key_numbers(const torch::Tensor& x_nw, const torch::Tensor& weights_nw, double inliers) {
  const auto bounds = inlier_bounds(x_nw, inliers, 0);
  const auto inner = key_outliers(x_nw, {{}, bounds.lower, bounds.upper}).logical_not();
  const auto z = KvquantRange::between(bounds.lower, bounds.upper).normed(x_nw);
  return {z.masked_select(inner), weights_nw.masked_select(inner)};
}

LevelNumbers value_numbers(const torch::Tensor& x_nw, const torch::Tensor& weights_nw, double inliers) {
  const auto bounds = inlier_bounds(x_nw, inliers, 1);
  const auto inner = value_outliers(x_nw, inliers).logical_not();
  const auto z = KvquantRange::between(bounds.lower, bounds.upper).normed(x_nw);
  return {z.masked_select(inner), weights_nw.masked_select(inner)};
}

torch::Tensor nearest_level(const torch::Tensor& z, const torch::Tensor& levels) {
  const int64_t n = levels.size(0);
  const auto borders = (levels.narrow(0, 1, n - 1) + levels.narrow(0, 0, n - 1)) / 2;
  return torch::bucketize(z, borders.to(z.scalar_type())).to(torch::kUInt8);
}

namespace {

// Weighted numbers in ascending order, as sums over the first of them: what a cluster of neighbours costs.
class Clusters {
 public:
  Clusters(const std::vector<double>& z, const std::vector<double>& weights) {
    for (size_t i = 0; i < z.size(); ++i) {
      w_.push_back(w_.back() + weights[i]);
      wz_.push_back(wz_.back() + weights[i] * z[i]);
      wzz_.push_back(wzz_.back() + weights[i] * z[i] * z[i]);
    }
  }
  size_t size() const { return w_.size() - 1; }
  // Of the numbers from..to - 1 around their mean.
  double cost(size_t from, size_t to) const {
    const double w = w_[to] - w_[from], wz = wz_[to] - wz_[from];
    return w > 0 ? std::max(0.0, wzz_[to] - wzz_[from] - wz * wz / w) : 0;
  }
  double mean(size_t from, size_t to) const { return (wz_[to] - wz_[from]) / (w_[to] - w_[from]); }

 private:
  std::vector<double> w_{0}, wz_{0}, wzz_{0};
};

// The least cost of k clusters of the first j numbers, and where the last begins, for all j: the beginning does
// not move back as j grows, so halves are searched apart.
struct Layer {
  std::vector<double> cost;
  std::vector<size_t> begin;
};
void fill(const Clusters& of, const std::vector<double>& before, Layer& layer, size_t low, size_t high,
          size_t first, size_t last) {
  if (low > high) return;
  const size_t j = low + (high - low) / 2;
  layer.cost[j] = std::numeric_limits<double>::infinity();
  for (size_t i = first; i <= std::min(j, last); ++i)
    if (const double cost = before[i] + of.cost(i, j); cost < layer.cost[j])
      layer.cost[j] = cost, layer.begin[j] = i;
  const size_t middle = layer.begin[j];
  if (j > low) fill(of, before, layer, low, j - 1, first, middle);
  fill(of, before, layer, j + 1, high, middle, last);
}

std::vector<double> best_means(const Clusters& of, size_t k) {
  const size_t n = of.size();
  std::vector<Layer> layers;
  std::vector<double> before(n + 1, std::numeric_limits<double>::infinity());
  before[0] = 0;
  for (size_t c = 0; c < k; ++c) {
    Layer layer{std::vector<double>(n + 1), std::vector<size_t>(n + 1)};
    fill(of, before, layer, 0, n, 0, n);
    before = layer.cost;
    layers.push_back(std::move(layer));
  }
  std::vector<double> means;
  for (size_t c = k, end = n; c-- > 0;) {
    const size_t begin = layers[c].begin[end];
    if (begin < end) means.push_back(of.mean(begin, end));
    end = begin;
  }
  std::reverse(means.begin(), means.end());
  return means;
}

// Sorted numbers as at most so many weighted ones.
Clusters gathered(const torch::Tensor& z_n, const torch::Tensor& w_n, int64_t most_points) {
  const auto [sorted, order] = z_n.sort();
  const auto weights = w_n.index_select(0, order);
  const int64_t n = z_n.numel(), points = std::min(n, most_points);
  std::vector<double> z, w;
  for (int64_t i = 0; i < points; ++i) {
    const int64_t begin = i * n / points, count = (i + 1) * n / points - begin;
    const auto part = weights.narrow(0, begin, count);
    const double sum = part.sum().item<double>();
    if (sum <= 0) continue;
    z.push_back((sorted.narrow(0, begin, count) * part).sum().item<double>() / sum);
    w.push_back(sum);
  }
  return {z, w};
}

}  // namespace

torch::Tensor fit_levels(const torch::Tensor& z, const torch::Tensor& weights, int64_t bits) {
  constexpr int64_t kPoints = 4096;
  constexpr int kRefinements = 8;
  const auto z_n = z.flatten().to(torch::kCPU, torch::kFloat64),
             w_n = weights.flatten().to(torch::kCPU, torch::kFloat64);
  ATTNLAB_CHECK(z_n.numel() > 0 && z_n.numel() == w_n.numel());
  auto means = best_means(gathered(z_n, w_n, kPoints), size_t{1} << bits);
  while (means.size() < size_t{1} << bits) means.push_back(means.empty() ? 0 : means.back());
  auto levels = torch::tensor(means, torch::kFloat64);
  // Of all numbers, where points stood for several.
  for (int step = 0; step < kRefinements; ++step) {
    const auto codes = nearest_level(z_n, levels).to(torch::kInt64);
    const auto sums = torch::zeros_like(levels).scatter_add(0, codes, w_n);
    const auto means_of = torch::zeros_like(levels).scatter_add(0, codes, w_n * z_n) / sums;
    levels = std::get<0>(torch::where(sums > 0, means_of, levels).sort());
  }
  return levels;
}

}  // namespace attnlab
