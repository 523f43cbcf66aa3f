// Rows of tensors that lanes hold in different numbers: each lane's stand first, what is behind them means
// nothing.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/torch.h"

namespace attnlab {

using Counts = std::vector<int64_t>;  // of each lane

int64_t most(const Counts& counts);
bool alike(const Counts& counts);
// Those of the given lanes, int64 [L].
Counts selected(const Counts& counts, const torch::Tensor& lanes_L);
// int64 [L, 1].
torch::Tensor counts_tensor(const Counts& counts, torch::Device device);

// x [L, n, …], index_Lm (int64) → [L, m, …]: of each lane the rows at its index.
torch::Tensor take_rows(const torch::Tensor& x, const torch::Tensor& index_Lm);
// Without the first `gone` rows of each lane, of which it had `counts`.
torch::Tensor without_first(const torch::Tensor& x, const Counts& counts, const Counts& gone);
// For each lane its `counts` rows of x and, behind them, those of `more`. An undefined x has none.
torch::Tensor with_more(const torch::Tensor& x, const Counts& counts, const torch::Tensor& more,
                        const Counts& more_counts);
// Writes `more` [L, m, …] into x behind the first `counts` rows of each lane, which has room for it.
void write_rows(const torch::Tensor& x, const Counts& counts, const torch::Tensor& more);
// Lanes of two tensors, one below the other; the rows of the shorter are filled with zeros.
torch::Tensor stacked(const torch::Tensor& above, const torch::Tensor& below);

}  // namespace attnlab
