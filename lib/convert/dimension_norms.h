// How large each number of keys and values is over calibration text, before and after a conversion rotates and
// balances them (figures 3a and 4a of TransMLA, arXiv 2502.07864v5), and how orthogonal up-projections are.
//
// A norm is the root of the mean square over tokens. All are of what the base's own hidden states give, before
// rotary position acts. G KV heads of H numbers.
#pragma once

#include <functional>
#include <vector>

#include "attention/rorope.h"
#include "convert/transform.h"

namespace attnlab {

// float64 on the CPU.
struct KeyNorms {
  torch::Tensor before;   // [G·H], head by head
  torch::Tensor rotated;  // [G·H], those that keep rotary position first (rope_first_order)
};
// `key_moment`: Σ k kᵀ over `tokens` keys, [G·H, G·H] float64.
KeyNorms key_norms(const torch::Tensor& key_moment, int64_t tokens, const RopeFold& fold);

// The numbers that the joint PCA sees: of keys those that lose rotary position, and of values. Balancing
// divides the keys' by one number, the ratio of the mean norms; values stay.
struct BalanceNorms {
  torch::Tensor k_nope_before, k_nope_after;  // [G·H - H/collapse]
  torch::Tensor v_before, v_after;            // [G·H]
};
// `value_moment`: Σ v vᵀ, [G·H, G·H].
BalanceNorms balance_norms(const torch::Tensor& key_moment, const torch::Tensor& value_moment, int64_t tokens,
                           const RopeFold& fold);

// Second moments of a layer's keys and values over the calibration text.
struct LayerMoments {
  int64_t layer = 0, tokens = 0;
  torch::Tensor keys, values;  // [G·H, G·H], float64 on the CPU
};
// One pass of data.calibration through the base. Not for bases with norms of key heads, whose keys no product
// of weights and inputs gives.
void visit_moments(const ModelSource& base, const ConversionData& data, const ConversionProgress& progress,
                   const std::function<void(const LayerMoments&)>& see);

// WᵀW for W [rows, columns], each column scaled to length 1 (one of zeros stays): [columns, columns] float64 on
// the CPU.
torch::Tensor gram_of(const torch::Tensor& weight);

}  // namespace attnlab
