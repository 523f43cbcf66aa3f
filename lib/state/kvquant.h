// KVQuant (arXiv 2401.18079): keys before rotary, each channel over its calibrated range, values over the range
// of their token, to levels that fit the numbers; what lies outside stays as it came.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "state/storage.h"
#include "state/storage_config.h"
#include "tensor/torch.h"

namespace attnlab {

// What a slot's numbers are coded with.
struct KvquantTable {
  torch::Tensor levels;            // 2^bits, ascending
  torch::Tensor lower_W, upper_W;  // of keys: each channel's range; undefined: a token's own range counts
};

// What calibration text says of a model's caches.
struct KvquantTables {
  int64_t bits = 0;
  double inliers = 1;  // the share that lies between lower and upper; 1: all
  std::vector<std::map<std::string, KvquantTable>> layers;  // by the names of their slots
};

// z = (x - mid) / half of the numbers x [..., w] over lower and upper, [..., w] or [..., 1].
struct KvquantRange {
  torch::Tensor mid, half;
  static KvquantRange between(const torch::Tensor& lower, const torch::Tensor& upper);
  torch::Tensor normed(const torch::Tensor& x) const;
  torch::Tensor back(const torch::Tensor& z) const { return z * half + mid; }
};

// The (1 - inliers) / 2 and 1 - (1 - inliers) / 2 quantiles over a dimension, which stays with one number;
// linear between neighbours.
struct Quantiles {
  torch::Tensor lower, upper;
};
Quantiles inlier_bounds(const torch::Tensor& x, double inliers, int64_t dim);

// Outliers of values x [..., w]: what is at or beyond the bounds of its own token. Where inliers is 1 there are
// none.
torch::Tensor value_outliers(const torch::Tensor& x, double inliers);
// The range of values: minimum and maximum of what are no outliers (these count as their token's median, the
// lower of two).
KvquantRange value_range(const torch::Tensor& x, const torch::Tensor& outliers);
// Of keys, by channel: what is below lower or above upper.
torch::Tensor key_outliers(const torch::Tensor& x, const KvquantTable& table);

// The place of the nearest level, uint8.
torch::Tensor nearest_level(const torch::Tensor& z, const torch::Tensor& levels);

// What levels are fitted to: of calibration tokens x [n, w] with weights (squared gradients) the numbers that
// are no outliers, normed. Keys by channel between its bounds over all tokens; values by token between its
// bounds (not, as later, between the outermost inliers; so does the authors' code).
struct LevelNumbers {
  torch::Tensor z, weights;
};
LevelNumbers key_numbers(const torch::Tensor& x_nw, const torch::Tensor& weights_nw, double inliers);
LevelNumbers value_numbers(const torch::Tensor& x_nw, const torch::Tensor& weights_nw, double inliers);

// Levels for numbers z with weights, 2^bits of them, ascending: the weighted squared distance to the nearest is
// least (k-means in one dimension, by Lloyd's steps from several starts).
torch::Tensor fit_levels(const torch::Tensor& z, const torch::Tensor& weights, int64_t bits);

// `tables` may be empty where only bytes are counted. `first`: oldest tokens that stay as they came.
StoragePlan kvquant_storage(KvquantTables tables, const StorageConfig& config);

}  // namespace attnlab
