// Few numbers of each row of a table, as they came: outliers beside coded ones.
#pragma once

#include <cstdint>

#include "tensor/torch.h"

namespace attnlab {

// Of a table [L, n] of rows, row by row: how many numbers each has, and these with the place in the row that
// each is from.
struct SparseRows {
  torch::Tensor counts_Ln;             // int16; undefined: a table without
  torch::Tensor values_m, channels_m;  // as they came; int16

  bool defined() const { return counts_Ln.defined(); }
  // The numbers of x [L, n, w] where the mask says so.
  static SparseRows of(const torch::Tensor& x_Lnw, const torch::Tensor& mask_Lnw);
  // x [L, n, w] with these in their places.
  torch::Tensor put_into(const torch::Tensor& x_Lnw) const;
  // Another table, whose row at a place is this one's row ids (counted over the whole table), with so many
  // numbers.
  SparseRows chosen(const torch::Tensor& ids, const torch::Tensor& counts) const;
  // int64 [L, n], from `first` on.
  torch::Tensor ids(int64_t first = 0) const;
  // All of both, as one table of a single lane.
  static SparseRows chained(const SparseRows& a, const SparseRows& b);
};

}  // namespace attnlab
