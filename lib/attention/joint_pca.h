// Balanced joint PCA of keys and values (TransMLA, arXiv 2502.07864v5, section 4.4): a layer whose heads read
//   [k, v] = B z,  z = A x + b,   z = [the numbers of keys; those of values]
// is given fewer z: the leading principal directions of z over calibration tokens.
#pragma once

#include <cstdint>

#include "tensor/torch.h"

namespace attnlab {

struct KvFactors {
  torch::Tensor down, down_bias;  // A [n, D], b [n] or undefined
  torch::Tensor up;               // B [rows, n]
};

// (mean column norm of the keys' numbers) / (balance_kv_ratio · that of the values' numbers), from z's second
// moment [n, n] whose first `keys` rows are keys'. Dividing keys by it keeps them, whose norms are larger, from
// taking all directions. `skip_values`: leading values that the mean leaves out (0; the public converter leaves
// out as many as there are rotary numbers).
double balance_ratio(const torch::Tensor& moment, int64_t keys, double balance_kv_ratio, int64_t skip_values);

struct Compressed {
  KvFactors factors;       // with `rank` numbers
  double energy_kept = 0;  // share of z's balanced second moment in the kept directions
};

// Keys divided by `ratio` (their columns of B multiplied), then the first `rank` eigenvectors R of
// (moment + 0.01 · mean(diagonal) · I): A' = Rᵀ A, b' = Rᵀ b, B' = B R. All float64. The moment is one of z, of
// any inputs x.
Compressed compress(const KvFactors& full, const torch::Tensor& moment, int64_t keys, double ratio,
                    int64_t rank);

}  // namespace attnlab
